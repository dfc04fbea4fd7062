# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window: the steps of :mod:`ui_drive` that make a film."""

import time

import bpy

FILM_SECONDS = 600.0
since = {"film": 0.0}


def steps(drive):
    """The steps, with ``ui_drive``'s helpers."""

    def open_film():
        character = bpy.context.scene.understudy.character
        drive.in_view(bpy.ops.understudy.film_picture, filepath=str(drive.HERE / "astronaut.png"))
        drive.in_view(bpy.ops.understudy.film_permit, kind="LICENCE", words="NASA, public domain")
        settings = character.understudy_film
        settings.folder, settings.span, settings.first, settings.last = str(drive.HERE / "films"), "FRAMES", 1, 150
        area = drive.area_of("VIEW_3D")
        with bpy.context.temp_override(window=drive.window(), screen=drive.window().screen, area=area):
            bpy.ops.screen.area_split(direction="VERTICAL", factor=0.45)
        views = sorted((a for a in drive.window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.x)
        views[0].type = "IMAGE_EDITOR"
        views[0].spaces.active.show_region_ui = True
        views[0].spaces.active.image = settings.photo
        bpy.context.scene.frame_set(60)
        return 1.0

    def look():
        views = [a for a in drive.window().screen.areas if a.type == "VIEW_3D"]
        space = views[0].spaces[0]
        space.show_region_ui = True
        next(r for r in views[0].regions if r.type == "UI").active_panel_category = "Understudy"
        editor = drive.area_of("IMAGE_EDITOR")
        next(r for r in editor.regions if r.type == "UI").active_panel_category = "Understudy"
        region = next(r for r in editor.regions if r.type == "WINDOW")
        with bpy.context.temp_override(window=drive.window(), screen=drive.window().screen, area=editor, region=region):
            bpy.ops.image.view_all(fit_view=True)
        image = bpy.context.scene.understudy.character.understudy_film.photo
        return 1.0 if len(image.understudy_picture.points) else None

    def picture_of_film():
        drive.shoot("film")
        return 0.5

    def film():
        drive.in_view(lambda: bpy.ops.understudy.film("INVOKE_DEFAULT"))
        since["film"] = time.monotonic()
        return 0.2

    def wait_for_preview():
        from bl_ext.user_default.understudy.film import job, preview

        found = job.job_of(bpy.context.scene.understudy.character)
        if preview.icon() and found is not None and found.fraction > 0.3:
            return 0.3
        if time.monotonic() - since["film"] > FILM_SECONDS:
            raise RuntimeError("no preview of the film has come")
        return None

    def picture_of_filming():
        drive.shoot("filming")
        return 0.1

    def wait_for_film():
        if bpy.context.scene.understudy.character.understudy_film.made_path:
            return 0.5
        if time.monotonic() - since["film"] > FILM_SECONDS:
            raise RuntimeError("there is no film after ten minutes")
        return None

    def show_film():
        editor = drive.area_of("IMAGE_EDITOR")
        editor.type = "SEQUENCE_EDITOR"
        editor.spaces.active.view_type = "SEQUENCER_PREVIEW"
        region = next(r for r in editor.regions if r.type == "WINDOW")
        with bpy.context.temp_override(window=drive.window(), screen=drive.window().screen, area=editor, region=region):
            bpy.ops.sequencer.view_all()
        return 1.5

    def picture_of_strips():
        drive.shoot("film_landed")
        return 0.3

    return [open_film, look, picture_of_film, film, wait_for_preview, picture_of_filming, wait_for_film, show_film,
            picture_of_strips]
