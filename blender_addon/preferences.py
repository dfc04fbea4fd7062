# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that belong to the user and not to a file: the bridge, folders, defaults."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .choices import KEY_MODES, ROOTS
from .shared.errors import UnderstudyError
from .shared.keys import is_key

__all__ = ["CLASSES", "UnderstudyPreferences", "bridge_address", "checked", "get", "online"]


checked: list[tuple[str, str]] = []
"""What the last check of the bridge's Python found: lines with their icons."""


class UnderstudyPreferences(bpy.types.AddonPreferences):
    """Shown in the Preferences under Add-ons, Understudy."""

    bl_idname = __package__ or "understudy"

    bridge_python: StringProperty(
        name="Bridge Python", subtype="FILE_PATH",
        description="Python that has the bridge's packages installed; empty: found by itself where possible")
    bridge_folder: StringProperty(
        name="Bridge Folder", subtype="DIR_PATH",
        description="Folder that holds bridge_server, where it is not installed as a package")
    auto_start: BoolProperty(
        name="Start Automatically", default=True,
        description="Start the bridge when it is first needed, and end it with Blender")
    device: StringProperty(
        name="Device", default="auto", description="What the bridge computes on: auto, cpu, cuda, cuda:1, mps")
    generator: StringProperty(
        name="Generator", description="What performs the body: a name that 'understudy generators' lists, or process: and the path of a "
                                      "generator's TOML file; empty: Understudy's own")
    audio2face: StringProperty(
        name="Audio2Face Folder", subtype="DIR_PATH",
        description="Folder of an Audio2Face-3D v2 model that you have; the route audio2face of a face performs with it")
    face_fit: StringProperty(
        name="Face Fit Matrix", subtype="FILE_PATH",
        description="Your own matrix (.npy, 52 rows) from ARKit weights to SMPL-X or FLAME expression, for exported motion")
    address: StringProperty(
        name="Address", description="Address of a bridge started by hand, as tcp://127.0.0.1:40123; empty: found by itself")
    token: StringProperty(
        name="Token", subtype="PASSWORD", description="What that bridge's lock file gives as its token")
    server_key: StringProperty(
        name="Server Key", description="Public key of a bridge on another computer, as 'understudy keys list' prints it there; "
                                       "empty: the one in the key file")
    key_file: StringProperty(
        name="Key File", subtype="FILE_PATH",
        description="What 'understudy keys add NAME' wrote on the bridge's computer. It is read for every connection; the secret in "
                    "it is kept neither in the preferences nor in any .blend file")
    export_folder: StringProperty(
        name="Export Folder", subtype="DIR_PATH", default="//", description="Where exports go, unless chosen otherwise")
    default_keys: EnumProperty(name="Keys of New Characters", items=KEY_MODES, description="How many keys their takes get")
    default_root: EnumProperty(name="Root of New Characters", items=ROOTS, description="Where their way through the room goes")

    def draw(self, context: bpy.types.Context) -> None:
        """The page in the Preferences."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "bridge_python")
        layout.prop(self, "bridge_folder")
        row = layout.row()
        row.operator("understudy.check_bridge", icon="CHECKMARK")
        for text, icon in checked:
            layout.label(text=text, icon=icon, translate=False)
        row = layout.row(align=True)
        for which, text in (("BRIDGE", "Bridge's Log"), ("ADDON", "Add-on's Log")):
            row.operator("understudy.open_log", text=text, icon="TEXT").which = which
        layout.prop(self, "auto_start")
        for name in ("device", "generator", "audio2face", "face_fit"):
            layout.prop(self, name)
        layout.label(text="These hold from the bridge's next start; one that you started by hand has its own", icon="INFO")
        if not online():
            layout.label(text="Online access is off in System: the bridge fetches no models, and uses those that are there", icon="INFO")
        layout.separator()
        layout.prop(self, "address")
        if self.address:
            if not self.key_file:
                layout.prop(self, "token")
            layout.prop(self, "server_key")
            layout.prop(self, "key_file")
            if self.server_key and not is_key(self.server_key.strip()):
                layout.label(text="A server key has 40 characters; copy the whole line", icon="ERROR")
            if not _is_loopback(self.address) and not self.key_file:
                layout.label(text="A bridge on another computer asks for a key file", icon="ERROR")
            if not _is_loopback(self.address) and not online():
                layout.label(text="Allow Online Access in System to use another computer", icon="ERROR")
            layout.row().operator("understudy.test_connection", icon="LINKED")
        layout.separator()
        layout.prop(self, "export_folder")
        layout.prop(self, "default_keys")
        layout.prop(self, "default_root")
        layout.label(text="The last two hold for characters that are chosen from now on", icon="INFO")


class _Defaults:
    """Stands in where the modules are registered without the add-on being enabled, as scripts do."""

    bridge_python = bridge_folder = address = token = server_key = key_file = ""
    auto_start = True
    device = "auto"
    generator = audio2face = face_fit = ""
    export_folder = "//"
    default_keys, default_root = KEY_MODES[0][0], ROOTS[0][0]


def get() -> Any:
    """The preferences, or their defaults where the add-on is not in the list of enabled ones."""
    addon = bpy.context.preferences.addons.get(__package__ or "")
    return addon.preferences if addon is not None and addon.preferences is not None else _Defaults


def online() -> bool:
    """Whether the user lets Blender and what it starts reach the internet."""
    return bool(bpy.app.online_access)


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def bridge_address() -> str:
    """The chosen address, or "". :raises UnderstudyError: for another computer while online access is off."""
    address = str(get().address).strip()
    if address and not _is_loopback(address) and not online():
        raise UnderstudyError("unsupported", f"The bridge at {address} is on another computer, and online access is off.",
                              "Allow online access in the preferences under System, or clear the bridge's address.")
    return address


CLASSES = (UnderstudyPreferences,)
