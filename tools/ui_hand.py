# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window: strips and words under a real mouse and keyboard, as an artist's hand meets them.

Each check moves the mouse, looks at what became of the directions or words, presses Ctrl Z, which must bring back exactly what was
before, and Ctrl Shift Z, which must bring the change again. What the hand does is asked of the process outside, as the words of an
``xdotool`` command in ``hand.wanted``; places are computed from the add-on's own board. The outcome goes to ``hand.json``.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import bpy

HERE = Path(__file__).resolve().parent
WAIT_SECONDS = 12.0
WISH = HERE / "shots" / "hand.wanted"
passed: list[str] = []
failed: list[str] = []


def window():
    return bpy.context.window_manager.windows[0]


def timeline():
    return max((a for a in window().screen.areas if a.type == "DOPESHEET_EDITOR"), key=lambda a: a.width * a.height)


def in_timeline():
    area = timeline()
    region = next(r for r in area.regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=window(), screen=window().screen, area=area, region=region)


def character():
    return bpy.context.scene.understudy.character


def strips():
    """What must come back with an undo."""
    return sorted([d.text, round(d.start, 2), round(d.end, 2), d.part, d.enabled, d.selected] for d in character().understudy.directions)


def words():
    return [[w.text, round(w.start, 1), round(w.end, 1), w.selected] for w in character().understudy_face.words]


def everything():
    return strips() + words()


def screen(x, y):
    """A place in the Timeline's region as xdotool counts: from the upper left of the display."""
    region = next(r for r in timeline().regions if r.type == "WINDOW")
    return str(round(region.x + x)), str(round(window().height - 1 - region.y - y))


def board():
    from bl_ext.user_default.understudy import overlay

    with in_timeline():
        return overlay.board_of(bpy.context, character())


def lane():
    from bl_ext.user_default.understudy.face import lane as words_lane

    with in_timeline():
        return words_lane.lane_of(bpy.context)


def on(text, where=0.5):
    """A place on a strip: 0 is its left edge, 1 its right one."""
    it = board()
    strip = next(s for s in it.strips if s.text == text)
    left, bottom, right, top = it.box(strip)
    inset = 2.0 if where in (0, 1) else 0.0
    return screen(left + (right - left) * where + inset * (1 - 2 * where), (bottom + top) / 2)


def at(part, frame):
    """A place in a lane."""
    it = board()
    return screen(it.to_x(frame), it.lane_bottom(part) + it.height_of(part) / 2)


def on_word(text, where=0.5):
    it = lane()
    word = next(w for w in it.words if w.text == text)
    left, right = it.to_x(word.start), it.to_x(word.end)
    inset = 2.0 if where in (0, 1) else 0.0
    return screen(left + (right - left) * where + inset * (1 - 2 * where), it.top - 5)


def move(place):
    return ["mousemove", *place, "sleep", "0.3"]


def click(place, button="1", *, times=1, held=None):
    keys = (["keydown", held], ["keyup", held]) if held else ([], [])
    presses = ["click", "--repeat", str(times), "--delay", "90", button]
    return [*move(place), *keys[0], *presses, "sleep", "0.3", *keys[1]]


def drag(start, end, *, held=None):
    """Press, move in steps as a hand does, let go."""
    (x0, y0), (x1, y1) = (map(int, p) for p in (start, end))
    path = []
    for n in range(1, 9):
        path += ["mousemove", str(round(x0 + (x1 - x0) * n / 8)), str(round(y0 + (y1 - y0) * n / 8)), "sleep", "0.06"]
    keys = (["keydown", held, "sleep", "0.1"], ["keyup", held]) if held else ([], [])
    return [*move(start), *keys[0], "mousedown", "1", "sleep", "0.2", *path, "sleep", "0.3", "mouseup", "1", *keys[1], "sleep", "0.3"]


def key(*names):
    return [word for name in names for word in ("key", name, "sleep", "0.3")]


def typed(text):
    return ["type", "--delay", "60", "--args", "1", text, "sleep", "0.3"]


def hand(commands):
    """Ask for it, and wait until it is done."""
    wish = WISH.with_suffix(".part")
    wish.write_text(json.dumps(commands))
    wish.rename(WISH)
    while WISH.exists():
        yield 0.05
    yield 0.2


def until(condition):
    """Wait for it; gives up after a while."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        try:
            if condition():
                return
        except StopIteration:
            pass
        yield 0.1


def fail(what):
    """Note it, and ask for a picture where the caller wants pictures of failures."""
    failed.append(what)
    print(f"@hand FAILED {what}", flush=True)
    if os.environ.get("HAND_PICTURES"):
        (HERE / "shots" / f"failed_{len(failed)}.wanted").touch()


def check(name, does, expected, *, undo=True, look=strips):
    """One thing that a hand does, and its undo. ``does`` and ``expected`` are functions: places depend on what is there."""
    before = everything()
    try:
        commands, right = does(), expected()
    except StopIteration:
        fail(f"{name}: what it is about is not there")
        return
    for some in commands:
        yield from hand(some)
    yield from until(lambda: right(look()))
    after = everything()
    if not right(look()):
        fail(f"{name}: there is {look()}")
        yield 1.0
        yield from hand(key("Escape"))
        return
    if undo:
        yield from hand([*move(at("head", 5)), *key("ctrl+z")])
        yield from until(lambda: everything() == before)
        if everything() != before:
            fail(f"{name}: one undo leaves {everything()} instead of {before}")
            return
        yield from hand(key("ctrl+shift+z"))
        yield from until(lambda: everything() == after)
        if everything() != after:
            fail(f"{name}: redo leaves {everything()} instead of {after}")
            return
    passed.append(name)
    print(f"@hand ok {name}", flush=True)


def lay(*rows):
    """These strips, and nothing selected; a state that undo comes back to."""
    from bl_ext.user_default.understudy import directions

    items = character().understudy.directions
    items.clear()
    for text, part, start, end in rows:
        directions.new(items, text, part, start, end)
    with in_timeline():
        bpy.ops.ed.undo_push(message="Laid")


def selected(*texts):
    return lambda rows: sorted(r[0] for r in rows if r[5]) == sorted(texts)


def has(*row):
    """A strip with this text, part, start and end (None: whatever)."""
    def test(rows):
        return any(r[0] == row[0] and r[3] == row[1] and all(w is None or abs(v - w) < 1.1 for v, w in zip(r[1:3], row[2:], strict=True))
                   for r in rows)

    return test


def prepare():
    for o in list(bpy.data.objects):
        bpy.data.objects.remove(o)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 30, 1, 240
    area = next(a for a in window().screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window(), screen=window().screen, area=area,
                                   region=next(r for r in area.regions if r.type == "WINDOW")):
        bpy.ops.understudy.add_character()
    scene.understudy.character = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    # a large Timeline in the viewport's place: the low one has no room, and a viewport is slow to draw without a graphics card
    area.ui_type = "TIMELINE"
    yield 1.0
    yield from hand(click(("300", "400")) + key("Escape"))
    with in_timeline():
        bpy.ops.action.view_all()
    yield 0.5


def strips_under_the_mouse():
    lay(("walks", "full", 20, 80), ("waves", "upper", 100, 150), ("sits", "full", 160, 220))
    yield 0.5
    yield from check("a click selects", lambda: [click(on("walks"))], lambda: selected("walks"))
    yield from check("Shift and a click add to it", lambda: [click(on("sits"), held="shift")], lambda: selected("walks", "sits"))
    yield from check("a click on one of several leaves this one", lambda: [click(on("sits"))], lambda: selected("sits"))
    yield from check("a click beside strips selects none", lambda: [click(at("full", 120))], selected)
    yield from check("a drag moves", lambda: [drag(on("waves"), at("upper", 135))],
                     lambda: lambda rows: has("waves", "upper", 110, 160)(rows) or has("waves", "upper", 109, 159)(rows))
    yield from check("a drag to another lane, which is empty, changes the part",
                     lambda: [drag(on("waves"), (on("waves")[0], at("head", 1)[1]))], lambda: has("waves", "head", None, None))
    yield from check("an edge is dragged", lambda: [drag(on("walks", 1), at("full", 100))], lambda: has("walks", "full", 20, 100))
    yield from check("the other edge is dragged", lambda: [drag(on("walks", 0), at("full", 40))], lambda: has("walks", "full", 40, 100))
    before = strips()
    yield from check("Esc in a drag puts everything back",
                     lambda: [[*move(on("walks")), "mousedown", "1", "sleep", "0.2", *move(at("full", 130)), *key("Escape"),
                               "mouseup", "1"]],
                     lambda: lambda rows: rows == before, undo=False)


def typing():
    lay(("walks", "full", 40, 100), ("sits", "full", 160, 220))
    yield 0.5
    yield from hand(click(on("walks")))
    yield from check("a double click opens the words, and Enter keeps what was typed",
                     lambda: [click(on("walks"), times=2), typed("a person Jumps, twice") + key("Return")],
                     lambda: has("a person Jumps, twice", "full", 40, 100))
    before = strips()
    yield from check("Esc leaves the words as they were", lambda: [click(on("sits"), times=2), typed("never") + key("Escape")],
                     lambda: lambda rows: sorted(r[0] for r in rows) == sorted(r[0] for r in before), undo=False)
    yield from check("a click on another strip ends the typing and selects that one",
                     lambda: [click(on("sits"), times=2), typed("sits down"), click(on("a person Jumps, twice"))],
                     lambda: lambda rows: has("sits down", "full", 160, 220)(rows) and selected("a person Jumps, twice")(rows), undo=False)


def keys_over_the_board():
    lay(("walks", "full", 20, 80), ("waves", "upper", 100, 150), ("sits", "full", 160, 220))
    bpy.context.scene.frame_set(50)
    yield 0.5
    everywhere = [r[0] for r in strips()]
    yield from check("X with nothing selected deletes nothing", lambda: [[*move(at("full", 120)), *key("x")]],
                     lambda: lambda rows: [r[0] for r in rows] == everywhere, undo=False)
    yield from check("K splits at the current frame", lambda: [click(on("walks")), key("k")],
                     lambda: lambda rows: has("walks", "full", 20, 50)(rows) and has("walks", "full", 50, 80)(rows), undo=False)
    yield from check("undo after a click and K takes back K alone", lambda: [key("ctrl+z")],
                     lambda: lambda rows: has("walks", "full", 20, 80)(rows) and selected("walks")(rows), undo=False)
    for held in ("shift", "ctrl"):
        lay(("walks", "full", 20, 80), ("waves", "upper", 100, 150))
        yield 0.3
        yield from hand(click(on("walks")))
        yield from check(f"{held.title()} D duplicates", lambda held=held: [key(f"{held}+d")], lambda: has("walks", "full", 80, 140))
    yield from check("H mutes", lambda: [click(on("waves")), key("h")],
                     lambda: lambda rows: [r[4] for r in rows if r[0] == "waves"] == [False], undo=False)
    yield from hand(click(on("waves")))
    yield from check("Alt and an arrow move by a frame", lambda: [key("alt+Right")], lambda: has("waves", "upper", 101, 151))
    yield from check("Alt, Shift and an arrow move by ten", lambda: [key("alt+shift+Left")], lambda: has("waves", "upper", 91, 141))
    yield from check("X deletes what is selected", lambda: [key("x")],
                     lambda: lambda rows: len(rows) == 2 and not has("waves", "upper", None, None)(rows))
    lay(("walks", "full", 20, 80), ("waves", "upper", 100, 150), ("sits", "full", 160, 220))
    yield 0.3
    yield from check("B and a box select what it touches",
                     lambda: [[*move(at("full", 85)), *key("b")], drag(at("full", 85), (at("upper", 200)[0], at("upper", 200)[1]))],
                     lambda: selected("waves", "sits"))
    yield from check("A selects all", lambda: [[*move(at("full", 90)), *key("a")]], lambda: selected("walks", "waves", "sits"))
    yield from hand(click(on("walks")))
    yield from check("Delete deletes", lambda: [key("Delete")], lambda: lambda rows: [r[0] for r in rows] == ["sits", "waves"])


def menus():
    """The menu opens with the mouse on its title or its last choice; a letter chooses the entry with that underlined."""
    lay(("walks", "full", 20, 80), ("waves", "upper", 100, 150))
    yield 0.3
    yield from check("the right button opens the menu, and M mutes",
                     lambda: [click(on("waves"), "3"), key("m")], lambda: lambda rows: [r[4] for r in rows if r[0] == "waves"] == [False])
    yield from check("the menu duplicates", lambda: [click(on("walks"), "3"), key("d")], lambda: has("walks", "full", 80, 140))


def new_ones():
    lay(("walks", "full", 20, 80))
    yield 0.3
    yield from check("Alt-drag on an empty lane draws a new one, which is typed at once",
                     lambda: [drag(at("left_arm", 100), at("left_arm", 160), held="alt"), typed("points") + key("Return")],
                     lambda: has("points", "left_arm", 100, 160))
    yield from hand(click(at("lower", 200)))
    yield from check("a double click on an empty lane makes one as well",
                     lambda: [click(at("head", 40), times=2), typed("nods") + key("Return")], lambda: has("nods", "head", 40, 130))
    yield from check("a double click on a strip in the lowest lane opens its words",
                     lambda: [click(on("nods"), times=2), typed("shakes") + key("Return")], lambda: has("shakes", "head", 40, 130))
    before = strips()
    yield from check("Esc takes a new one away again",
                     lambda: [drag(at("lower", 100), at("lower", 160), held="alt"), typed("no") + key("Escape")],
                     lambda: lambda rows: [r[:4] for r in rows] == [r[:4] for r in before], undo=False)
    bpy.context.scene.timeline_markers.new("here", frame=30)
    lay(("walks", "full", 20, 80), ("shakes the head", "head", 100, 160))
    yield 0.5
    yield from check("with markers in the Timeline, the lowest lane is still under the mouse", lambda: [click(on("shakes the head"))],
                     lambda: selected("shakes the head"))
    bpy.context.scene.timeline_markers.clear()


def speech():
    from bl_ext.user_default.understudy.face import words as kept
    from bl_ext.user_default.understudy.shared.speech import Phone, Word

    kept.fill(character(), [Word(0.5, 1.5, "hello", (Phone(0.5, 1.0, "HH"), Phone(1.0, 1.5, "OW"))), Word(1.5, 2.5, "world"),
                            Word(4.0, 5.0, "mama")], 1.0, 30.0)
    lay(("walks", "full", 20, 80))
    yield 0.5

    def word(text, start, end):
        return lambda rows: any(r[0] == text and abs(r[1] - start) < 1.1 and abs(r[2] - end) < 1.1 for r in rows)

    def check_word(name, does, expected, **options):
        return check(name, does, expected, look=words, **options)

    yield from check_word("a click selects a word", lambda: [click(on_word("mama"))],
                          lambda: lambda rows: [r[3] for r in rows] == [False, False, True])
    it = lane()
    step = it.to_x(20) - it.to_x(0)

    def beside(text, where, sign=1):
        x, y = on_word(text, where)
        return str(round(int(x) + sign * step)), y

    yield from check_word("a drag moves a word", lambda: [drag(on_word("mama"), beside("mama", 0.5))], lambda: word("mama", 141, 171))
    yield from check_word("a drag of an edge that two words share moves both",
                          lambda: [drag(on_word("world", 0), beside("world", 0, -1))],
                          lambda: lambda rows: word("hello", 16, 26)(rows) and word("world", 26, 76)(rows))
    yield from hand(click(on_word("mama")))
    yield from check_word("a double click opens the word, and its text is typed anew",
                          lambda: [click(on_word("mama"), times=2), [*key("ctrl+a"), *typed("papa"), *key("Return", "Return")]],
                          lambda: word("papa", 141, 171))
    yield from check_word("X deletes the word", lambda: [[*move(on_word("papa")), *key("x")]],
                          lambda: lambda rows: [r[0] for r in rows] == ["hello", "world"])
    yield from check("a dragged strip snaps to a word", lambda: [drag(on("walks", 1), at("full", 77))],
                     lambda: has("walks", "full", 20, 76))


def everything_in_turn():
    yield from prepare()
    only = os.environ.get("HAND_PARTS", "").split()
    for part in (strips_under_the_mouse, keys_over_the_board, menus, new_ones, typing, speech):
        if not only or part.__name__ in only:
            yield from part()
    (HERE / "hand.json").write_text(json.dumps({"passed": passed, "failed": failed}))
    print("@hand done", flush=True)
    os._exit(0)


turn = everything_in_turn()


def tick():
    try:
        if any((HERE / "shots").glob("failed_*.wanted")):
            return 0.1
        return next(turn)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)


bpy.context.preferences.view.show_splash = False
# a slow display would miss double clicks
bpy.context.preferences.inputs.mouse_double_click_time = 1000
bpy.app.timers.register(tick, first_interval=2.0)
