# SPDX-License-Identifier: Apache-2.0
"""The user's own swap networks (ONNX), view by view. None is shipped; docs/formats/models.md says which are known.

`descriptors` holds what is known of each network as data, `swapper` is the way through the room.
"""
