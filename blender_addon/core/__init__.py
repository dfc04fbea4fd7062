# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on does without Blender: client, bridge process, jobs, curve maths, rig maps, retargeting.

Nothing below this package imports ``bpy``, so all of it runs and is tested in any Python.
"""
