# SPDX-License-Identifier: Apache-2.0
"""Motion files of other programs: :func:`.read.read_motion`, :func:`.amass.write_amass`, :func:`.bvh.write_bvh`,
:func:`.bvh_reader.read_bvh` and :func:`.bvh_reader.bvh_to_motion`."""
