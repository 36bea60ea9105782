"""``@parameterNodeWrapper``: a class of typed attributes kept in a parameter node."""

from __future__ import annotations

import logging
import typing
import weakref
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from .annotations import Default
from .connectors import GuiConnector, createGuiConnector
from .serializers import Serializer, serializer_for

SlicerParameterNamePropertyName = "SlicerParameterName"


@dataclass
class ParameterInfo:
    """One declared parameter."""

    basename: str
    serializer: Serializer
    default: Default
    unalteredType: Any


class _Stored:
    """One parameter of one node, read again only when the node was modified where its type allows that."""

    def __init__(self, info: ParameterInfo, node: Any, prefix: str):
        self.info, self.node, self.name = info, node, prefix + info.basename
        if not info.serializer.isIn(node, self.name):
            info.serializer.write(node, self.name, info.default.value)
        self._writing = False
        if info.serializer.caches:
            self._value = self._fetch()
            own = weakref.ref(self)

            def modified(caller: Any, event: str) -> None:
                if own() is not None and not own()._writing:
                    own()._value = own()._fetch()

            self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, modified)

    def _fetch(self) -> Any:
        if not self.info.serializer.isIn(self.node, self.name):
            self.info.serializer.write(self.node, self.name, self.info.default.value)
        return self.info.serializer.read(self.node, self.name)

    def read(self) -> Any:
        return self._value if self.info.serializer.caches else self._fetch()

    def write(self, value: Any) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.info.serializer.write(self.node, self.name, value)
                if self.info.serializer.caches:
                    self._value = self._fetch()
        finally:
            self._writing = False


def parameterNodeWrapper(classtype: Any = None) -> Any:
    """Class decorator.

    Raises:
        Exception: a member's type cannot be kept in a node.
        ValueError: a member has the name of one of the wrapper's own methods.
    """
    return _process if classtype is None else _process(classtype)


def _process(classtype: type) -> type:
    infos = {}
    for name, annotated in typing.get_type_hints(classtype, include_extras=True).items():
        try:
            serializer, others = serializer_for(annotated)
        except Exception as error:
            raise Exception(f"Unable to create serializer for {classtype} member {name}") from error
        defaults = [entry for entry in others if isinstance(entry, Default)]
        if hasattr(classtype, name):
            default = Default(getattr(classtype, name))
        else:
            default = defaults[0] if defaults else Default(serializer.default())
        unused = [entry for entry in others if entry not in defaults and type(entry).__name__ not in ("Decimals", "SingleStep")]
        if unused:
            logging.warning("Unused annotations: %s", unused)
        infos[name] = ParameterInfo(name, serializer, default, annotated)
        setattr(classtype, name, _member(name))
    reserved = {"allParameters": infos, "_is_parameter_node_wrapper": True}
    reserved |= {name: value for name, value in vars(_Methods).items() if not name.startswith("__")}
    for name, value in reserved.items():
        if hasattr(classtype, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(classtype, name, value)
    classtype.__init__ = _Methods.__init__  # type: ignore[misc]
    return classtype


def _member(name: str) -> property:
    return property(lambda self: self._stored[name].read(), lambda self, value: self._stored[name].write(value))


class _Methods:
    """What every wrapper class gets."""

    def __init__(self, parameterNode: Any, prefix: str | None = None):
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, GuiConnector]] = {}
        self._next_tag = 0
        self._updating = False
        self._stored = {name: _Stored(info, parameterNode, prefix or "") for name, info in self.allParameters.items()}

    def _check(self, name: str) -> None:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}\n  Found parameters {list(self.allParameters)}")

    def default(self, name: str) -> Default:
        self._check(name)
        return self.allParameters[name].default

    def isCached(self, name: str) -> bool:
        self._check(name)
        return self.allParameters[name].serializer.caches

    def dataType(self, name: str) -> Any:
        self._check(name)
        return self.allParameters[name].unalteredType

    def getValue(self, name: str) -> Any:
        self._check(name)
        return self._stored[name].read()

    def setValue(self, name: str, value: Any) -> None:
        self._check(name)
        self._stored[name].write(value)

    def connectGui(self, gui: Any) -> None:
        """Returns nothing, as in Slicer (its issue 7547): only connectParametersToGui gives a tag for disconnectGui."""
        import qt

        widgets = gui.findChildren(qt.QWidget) if getattr(gui, "isWidgetType", lambda: False)() else vars(gui).values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._check(name)
        connectors = {
            name: value if isinstance(value, GuiConnector) else createGuiConnector(value, self.dataType(name))
            for name, value in mapping.items()
        }
        tag = self._next_tag
        self._next_tag += 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._writer(name, connector))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._update_guis())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.onChanged(None)

    def _writer(self, name: str, connector: GuiConnector) -> Any:
        def write() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return write

    def _update_guis(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._guis.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, before: Any) -> Any:
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def isParameterNodeWrapper(thing: Any) -> bool:
    """Whether a class or object came out of the decorator."""
    return bool(getattr(thing, "_is_parameter_node_wrapper", False))


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """The child bound to a parameter, None without one."""
    import qt

    children = widget.findChildren(qt.QWidget)
    return next((child for child in children if child.property(SlicerParameterNamePropertyName) == parameter), None)
