# SPDX-License-Identifier: Apache-2.0
"""What the add-on and the bridge agree on: motion, skeleton, timeline, messages, bytes.

Only numpy and the standard library are imported here, so that the package runs under Blender's
Python as well as under the bridge's. Coordinates: right-handed, +Y up, +Z forward; metres,
seconds, radians; quaternions wxyz.
"""

__version__ = "0.1.0"
