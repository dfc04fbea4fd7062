# SPDX-License-Identifier: Apache-2.0
"""A layout that remembers what was put on it, for panels that no window draws."""

from __future__ import annotations

from typing import Any


class Paper:
    """Stands in for a ``UILayout``: rows, columns, boxes and panels all write onto the same sheet."""

    def __init__(self, opened: bool = True) -> None:
        self.opened = opened
        self.labels: list[tuple[str, str]] = []
        self.props: list[str] = []
        self.operators: list[str] = []
        self.panels: list[tuple[str, bool]] = []

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.labels]

    def label(self, text: str = "", icon: str = "NONE", **_: Any) -> None:
        self.labels.append((text, icon))

    def prop(self, _owner: Any, name: str, **_: Any) -> None:
        # a property that is not there would be drawn in red
        assert name in _owner.bl_rna.properties, name
        self.props.append(name)

    def prop_search(self, owner: Any, name: str, *_others: Any, **_: Any) -> None:
        self.prop(owner, name)

    def operator(self, name: str, **_: Any) -> Any:
        self.operators.append(name)
        return type("Properties", (), {})()

    def progress(self, **_: Any) -> None:
        pass

    def separator(self, **_: Any) -> None:
        pass

    def template_list(self, *_: Any, **__: Any) -> None:
        pass

    def menu(self, *_: Any, **__: Any) -> None:
        pass

    def row(self, **_: Any) -> Paper:
        return self

    column = box = split = row

    def panel(self, identity: str, default_closed: bool = False) -> tuple[Paper, Paper | None]:
        self.panels.append((identity, default_closed))
        return self, self if self.opened else None
