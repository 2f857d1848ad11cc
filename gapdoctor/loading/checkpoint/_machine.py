"""The pickle machine without its hands: it keeps stack and memo, and calls nothing."""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._names import (
    CALLED,
    COPIES,
    FROM_TYPE,
    REBUILD,
    STORAGE_BYTES,
    Kind,
    kind_of,
)
from gapdoctor.loading.checkpoint._placeholders import MARK, List_, Made, Name, Scan, Tuple_

MAX_OPERATIONS = 2_000_000
MAX_DEPTH = 100
"""Levels of tuples in tuples; hashing deeper ones overflows the C stack."""

RESAVE = 'save the weights alone: torch.save(model.state_dict(), "student.pth")'
UNUSUAL = f"{RESAVE}; or, if you made the file yourself, add --unsafe-load"


class Machine:
    """The pickle machine's stack and memo, holding placeholders."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.scan = Scan()
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, operation: str, argument: Any) -> None:
        self.scan.operations += 1
        if self.scan.operations > MAX_OPERATIONS:
            raise self.refusal(f"holds more than {MAX_OPERATIONS:,} objects")
        handler = _HANDLERS.get(operation)
        if handler is None:
            raise self.refusal(
                f"uses the pickle operation {operation}, which torch.save does not", UNUSUAL
            )
        try:
            handler(self, argument)
        except (IndexError, KeyError, TypeError) as error:
            raise self.refusal("is damaged: its pickle does not add up") from error

    def settle(self) -> None:
        if self.scan.copied > 2 * self.scan.operations + self.size:
            raise self.refusal("copies its own lists over and over")
        if sum(self.scan.storages.values()) > self.size:
            raise self.refusal("claims more weights than the file has bytes")

    def refusal(self, what: str, hint: str = RESAVE) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}", hint)

    def to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (top := self.stack.pop()) is not MARK:
            items.append(top)
        return items[::-1]

    def push_tuple(self, items: list[Any]) -> None:
        depth = 1 + max((i.depth for i in items if isinstance(i, Tuple_)), default=0)
        if depth > MAX_DEPTH:
            raise self.refusal(f"is nested more than {MAX_DEPTH} levels deep")
        self.stack.append(Tuple_(items, depth))

    def name(self, argument: str) -> None:
        if argument.count(" ") != 1:
            raise self.refusal("is damaged: a name in it is none")
        module, name = argument.split(" ")
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        self.judge(full)
        self.stack.append(Name(full))

    def judge(self, full: str) -> None:
        kind = kind_of(full)
        if kind is Kind.HOSTILE:
            raise self.refusal(
                f"this file tries to call {full}; nothing was run",
                "weights never need that: treat the file as hostile",
            )
        if kind is Kind.SPECIAL:
            raise self.refusal(f"holds {full}: a sparse, quantised or otherwise special tensor")
        if kind is Kind.STAND_IN:
            self.scan.unknown.add(full)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        known = isinstance(function, Name) and isinstance(arguments, Tuple_)
        if not known or (function not in CALLED and function not in self.scan.unknown):
            raise self.refusal(f"calls {function if known else 'something'} in an unusual way")
        if function == FROM_TYPE and arguments.items[0] not in REBUILD:
            raise self.refusal("rebuilds a tensor in an unusual way")
        if function == "_codecs.encode":
            self.encode(arguments.items)
        if function in COPIES:
            self.scan.copied += sum(i.length for i in arguments.items if isinstance(i, List_))
        self.stack.append(Made(str(function)))

    def encode(self, items: list[Any]) -> None:
        text, codec = items
        if not isinstance(text, str) or codec != "latin1":
            raise self.refusal("encodes text in an unusual way")
        self.scan.copied += len(text)

    def build(self) -> None:
        self.stack.pop()
        made = self.stack[-1]
        buildable = self.scan.unknown | {"collections.OrderedDict"}
        if not isinstance(made, Made) or made.name not in buildable:
            raise self.refusal("changes a tensor after it is made")

    def filled(self, items: int, kind: set[str]) -> None:
        target = self.stack[-1]
        if isinstance(target, List_):
            target.length += items
        elif isinstance(target, Made) and target.name in self.scan.unknown:
            kind.add(target.name)

    def storage(self) -> None:
        claim = self.stack.pop()
        if isinstance(claim, Tuple_) and claim.items[0] == "module":
            raise self.refusal("is a whole model in the old format, which names its class")
        if not isinstance(claim, Tuple_) or len(claim.items) not in (5, 6):
            raise self.refusal("names a storage in an unusual way")
        word, kind, key, _, count = claim.items[:5]
        if word != "storage" or kind not in STORAGE_BYTES or not isinstance(count, int):
            raise self.refusal("holds a storage of an unknown kind")
        claimed = count * STORAGE_BYTES[kind]
        if not 0 <= claimed <= self.size:
            raise self.refusal(f"claims a tensor of {claimed:,} bytes; the file has {self.size:,}")
        self.scan.storages[str(key)] = max(claimed, self.scan.storages.get(str(key), 0))
        self.stack.append(Made("storage"))

    def protocol(self, number: int) -> None:
        if number != 2:
            raise self.refusal(f"is pickled with protocol {number}; torch.save writes 2", UNUSUAL)


def _push(value: Any) -> Callable[[Machine, Any], None]:
    return lambda machine, argument: machine.stack.append(value)


def _put(machine: Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _set_items(machine: Machine, count: int) -> None:
    machine.filled(count, machine.scan.dict_like)


def _append_items(machine: Machine, count: int) -> None:
    machine.filled(count, machine.scan.list_like)


def _pops(machine: Machine, count: int) -> list[Any]:
    return [machine.stack.pop() for _ in range(count)][::-1]


_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": Machine.protocol,
    "STOP": lambda m, a: None,
    **dict.fromkeys(
        ("NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "EMPTY_DICT", "EMPTY_SET", "SHORT_BINSTRING"),
        _push(None),
    ),
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), lambda m, a: m.stack.append(a)
    ),
    "EMPTY_TUPLE": lambda m, a: m.stack.append(Tuple_([], 0)),
    "EMPTY_LIST": lambda m, a: m.stack.append(List_(0)),
    "MARK": _push(MARK),
    "TUPLE": lambda m, a: m.push_tuple(m.to_mark()),
    "TUPLE1": lambda m, a: m.push_tuple(_pops(m, 1)),
    "TUPLE2": lambda m, a: m.push_tuple(_pops(m, 2)),
    "TUPLE3": lambda m, a: m.push_tuple(_pops(m, 3)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, a: m.stack.append(m.memo[a])),
    "GLOBAL": Machine.name,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda m, a: m.call()),
    "BUILD": lambda m, a: m.build(),
    "SETITEM": lambda m, a: _set_items(m, len(_pops(m, 2))),
    "SETITEMS": lambda m, a: _set_items(m, len(m.to_mark())),
    "APPEND": lambda m, a: _append_items(m, len(_pops(m, 1))),
    "APPENDS": lambda m, a: _append_items(m, len(m.to_mark())),
    "BINPERSID": lambda m, a: m.storage(),
}
