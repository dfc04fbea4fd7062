// SPDX-License-Identifier: Apache-2.0
// A job type for Flamenco Manager: performs shots with Understudy, one task a shot.
// Put this file into the Manager's "scripts" folder; docs/farm.md says the rest.

const JOB_TYPE = {
    label: "Understudy: perform shots",
    description: "Perform speech and directions in .blend files. The workers' Blender needs the Understudy extension.",
    settings: [
        { key: "shots", type: "string", required: true, visible: "submission",
          description: "One line a shot, as in a batch table: file,character,audio,directions,seed,output,exports" },
        { key: "root", type: "string", default: "", visible: "submission",
          description: "Folder in front of relative paths, as the workers see it" },
        { key: "after", type: "bool", default: false, visible: "submission",
          description: "Perform the shots one after the other instead of in parallel" },
    ],
};

const COLUMNS = ["file", "character", "audio", "directions", "seed", "output", "exports"];

function compileJob(job) {
    const shots = parseTable(job.settings.shots);
    if (shots.length === 0) {
        throw new Error("There are no shots; write one line for each.");
    }
    let former = null;
    for (let n = 0; n < shots.length; n++) {
        const task = taskFor(shots[n], n + 1, job.settings.root || "");
        if (job.settings.after && former !== null) {
            task.addDependency(former);
        }
        former = task;
        job.addTask(task);
    }
}

function taskFor(shot, number, root) {
    if (!shot.file) {
        throw new Error("Shot " + number + " names no .blend file.");
    }
    if (shot.seed && !/^\d+$/.test(shot.seed)) {
        throw new Error("Shot " + number + " has the seed " + shot.seed + ", which is not a whole number.");
    }
    const args = ["--command", "understudy", "generate"];
    const put = function (option, value) {
        if (value) {
            args.push(option, value);
        }
    };
    put("--character", shot.character);
    put("--audio", under(root, shot.audio));
    put("--directions", under(root, shot.directions));
    put("--seed", shot.seed);
    put("--output", under(root, shot.output));
    const exports = (shot.exports || "").split(";");
    for (let n = 0; n < exports.length; n++) {
        put("--export", under(root, exports[n].trim()));
    }
    const task = author.Task("perform-" + number + "-" + basename(shot.file), "blender");
    task.addCommand(author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: ["--background", "--python-exit-code", "1"],
        blendfile: under(root, shot.file),
        args: args,
    }));
    return task;
}

// Lines with commas, fields in double quotes where they hold commas, "" for a quote; a heading line is passed over.
function parseTable(text) {
    const rows = [];
    let row = [], field = "", quoted = false;
    const source = String(text || "").replace(/\r\n?/g, "\n") + "\n";
    for (let n = 0; n < source.length; n++) {
        const c = source[n];
        if (quoted) {
            if (c === '"' && source[n + 1] === '"') {
                field += c;
                n++;
            } else if (c === '"') {
                quoted = false;
            } else {
                field += c;
            }
        } else if (c === '"' && field.trim() === "") {
            quoted = true;
            field = "";
        } else if (c === ",") {
            row.push(field.trim());
            field = "";
        } else if (c === "\n") {
            row.push(field.trim());
            field = "";
            if (row.join("") !== "") {
                rows.push(row);
            }
            row = [];
        } else {
            field += c;
        }
    }
    if (quoted) {
        throw new Error("A double quote in the table of shots is not closed.");
    }
    let columns = COLUMNS;
    if (rows.length > 0 && rows[0].indexOf("file") >= 0) {
        columns = rows.shift();
    }
    return rows.map(function (values) {
        const shot = {};
        for (let n = 0; n < columns.length; n++) {
            shot[columns[n]] = values[n] || "";
        }
        return shot;
    });
}

function under(root, path) {
    if (!path || !root || /^([A-Za-z]:)?[\\/]/.test(path)) {
        return path;
    }
    return root.replace(/[\\/]+$/, "") + "/" + path;
}

function basename(path) {
    return path.replace(/^.*[\\/]/, "");
}
