"""PTX as C: what NVRTC made of a kernel, run on a CPU one thread after another, so that its bits can be compared.

Only the instructions that the simulator's kernels need are here; any other is refused. A thread is alone in its warp,
and the assembler that makes machine code of PTX is beyond this: it may not change a bit of an instruction with ``.rn``.
"""

import re
from collections.abc import Iterator

HEAD = """
#include <math.h>
#include <stdint.h>
#include <string.h>
uint64_t executed = 0;
static float as_float(uint32_t word) { float x; memcpy(&x, &word, 4); return x; }
static uint32_t as_word(float x) { uint32_t word; memcpy(&word, &x, 4); return word; }
static float smaller(float a, float b)
{
    if (isnan(a) || isnan(b)) return isnan(a) ? b : a;
    return a < b || (a == b && signbit(a)) ? a : b;
}
static float larger(float a, float b) { return -smaller(-a, -b); }
"""
C_TYPES = {
    "f32": "float",
    **dict.fromkeys(("b32", "u32"), "uint32_t"),
    "s32": "int32_t",
    **dict.fromkeys(("b64", "u64"), "uint64_t"),
    "s64": "int64_t",
    "pred": "int",
}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "div": "/"}
COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
REGISTERS = {"pred": "p", "f32": "f", "b32": "r", "b64": "rd"}
ALONE = {"activemask": "1", "shfl": "{0}", "vote": "{0}"}
"""What a thread sees that is alone in its warp."""


def c_of_ptx(ptx: str) -> str:
    """Return C text with a function ``run(block, thread, parameters)`` and an array for each one in constant memory.

    ``parameters`` are 64-bit numbers or addresses; ``executed`` counts instructions.
    """
    entry = re.search(r"\.entry \w+\((.*?)\)\s*(?:\.\w+ [\d, ]+\s*)*\{\n(.*?)\n\}", ptx, re.DOTALL)
    assert entry is not None, "no entry in the PTX"
    constants = re.findall(r"\.const \.align \d+ \.b8 (\w+)\[(\d+)\];", ptx)
    arrays = [f"char {name}[{size}] __attribute__((aligned(16)));" for name, size in constants]
    body = "\n".join(_lines(entry.group(2)))
    return "\n".join(
        [HEAD, *arrays, f"void run(uint64_t block, uint64_t thread, const uint64_t *param)\n{{\n{body}\n}}"]
    )


def _lines(body: str) -> Iterator[str]:
    length = 0
    for line in (line.strip() for line in body.splitlines()):
        if not line or line.startswith(("//", ".pragma")) or line.endswith(("%SP;", "%SPL;")):
            continue
        if declared := re.match(r"\.reg \.(\w+)\s+%(\w+)<(\d+)>;", line):
            kind, name, count = declared.groups()
            yield f"{C_TYPES[kind]} {name}[{count}];"
        elif local := re.match(r"\.local \.align \d+ \.b8\s+(\w+)\[(\d+)\];", line):
            yield f"char {local[1]}[{local[2]}] __attribute__((aligned(16)));"
        elif label := re.match(r"(\$\w+):", line):
            yield f"executed += {length}; {label[1].replace('$', '')}:;"
            length = 0
        else:
            length += 1
            text = _instruction(line)
            if "goto" in text or "return" in text:
                text = f"executed += {length}; {text}"
                length = 0
            yield text


def _instruction(line: str) -> str:
    found = re.fullmatch(r"(?:@(!?)%p(\d+)\s+)?([\w.]+)\s*(.*?);", line)
    if found is None:
        raise ValueError(f"not an instruction: {line}")
    negated, guard, name, rest = found.groups()
    operands = [part.strip() for part in re.split(r",(?![^{\[]*[}\]])", rest)] if rest else []
    text = _meaning(name.split("."), operands, line)
    return f"if ({'!' if negated else ''}p[{guard}]) {{ {text} }}" if guard else text


def _meaning(words: list[str], operands: list[str], line: str) -> str:  # noqa: C901 - a table of instructions
    verb, kind = words[0], words[-1]
    if verb == "bra":
        return f"goto {operands[0].replace('$', '')};"
    if verb == "ret":
        return "return;"
    if verb in ALONE:
        target = operands[0].split("|")
        sure = f" {_set(target[1], 'pred', '1')}" if len(target) > 1 else ""
        kind = "b32" if verb != "vote" else "pred"
        return _set(target[0], kind, ALONE[verb].format(_get(operands[1], kind) if len(operands) > 1 else "")) + sure
    if verb in ("ld", "st"):
        return _memory(verb, words, operands)
    if verb in ("atom", "red") and words[1:] == ["global", "add", "u64"]:
        return f"*(uint64_t *)({_address(operands[-2])}) += {_get(operands[-1], kind)};"
    if verb == "mov" and "{" in line:
        return _pair(operands)
    if verb == "setp":
        return _compare(words, operands)
    if not {"rn", "rzi", "lo", "hi", "wide", "to", "global", "local"}.issuperset(_modifiers(verb, words)):
        raise ValueError(f"no meaning for {line}")
    values = [_get(operand, kind) for operand in operands[1:]]
    match verb:
        case "mov" | "cvta":
            made = values[0]
        case "neg":
            made = f"-{values[0]}"
        case "not":
            made = f"{'!' if kind == 'pred' else '~'}{values[0]}"
        case "fma":
            made = f"fmaf({', '.join(values)})"
        case "sqrt":
            made = f"sqrtf({values[0]})"
        case "abs" if kind == "f32":
            made = f"fabsf({values[0]})"
        case "min" | "max" if kind == "f32":
            made = f"{'smaller' if verb == 'min' else 'larger'}({', '.join(values)})"
        case "min" | "max":
            made = f"({values[0]} {'<' if verb == 'min' else '>'} {values[1]} ? {values[0]} : {values[1]})"
        case "selp":
            made = f"({_get(operands[3], 'pred')} ? {values[0]} : {values[1]})"
        case "shl" | "shr":
            made = f"({values[0]} {'<<' if verb == 'shl' else '>>'} {_get(operands[2], 'u32')})"
        case "bfi":
            mask = f"(((1ULL << {values[3]}) - 1) << {values[2]})"
            made = f"(({values[0]} << {values[2]}) & {mask}) | ({values[1]} & ~{mask})"
        case "cvt":
            return _convert(words, operands)
        case "mul" if "wide" in words:
            return _wide(words, operands)
        case "mul" if words[1:] == ["hi", "u64"]:
            made = f"(uint64_t)((unsigned __int128){values[0]} * {values[1]} >> 64)"
        case _ if verb in ARITHMETIC and (kind in ("f32", "pred") or verb != "div"):
            values = values if kind in ("f32", "pred") else [_get(o, kind.replace("s", "u")) for o in operands[1:]]
            made = f"({values[0]} {ARITHMETIC[verb]} {values[1]})"
        case _:
            raise ValueError(f"no meaning for {line}")
    if kind == "f32" and verb in ("add", "sub", "mul", "div", "fma", "sqrt") and "rn" not in words:
        raise ValueError(f"rounding is left open: {line}")
    return _set(operands[0], kind, made)


def _modifiers(verb: str, words: list[str]) -> list[str]:
    return words[1:-2] if verb == "cvt" else words[1:-1]


def _get(operand: str, kind: str) -> str:
    """Return an operand as a value of a type."""
    if operand.startswith("0f"):
        return f"as_float(0x{operand[2:]}u)" if kind == "f32" else f"0x{operand[2:]}u"
    if operand in ("%ctaid.x", "%tid.x"):
        return "(uint32_t)block" if operand == "%ctaid.x" else "(uint32_t)thread"
    if operand in ("%SP", "%SPL"):
        return operand[1:]
    register = re.fullmatch(r"%(p|f|r|rd)(\d+)", operand)
    if register is None:
        is_number = re.fullmatch(r"-?\d+", operand)
        return f"(({C_TYPES[kind]}){operand}LL)" if is_number else f"(uint64_t){operand}"
    place = f"{register[1]}[{register[2]}]"
    if register[1] == "f":
        return place if kind == "f32" else f"as_word({place})"
    if kind == "f32":
        return f"as_float({place})"
    return f"(({C_TYPES[kind]}){place})"


def _set(operand: str, kind: str, value: str) -> str:
    """Return a statement that sets an operand to a value of a type."""
    if operand in ("%SP", "%SPL"):
        return f"uint64_t {operand[1:]} = {value};"
    register = re.fullmatch(r"%(p|f|r|rd)(\d+)", operand)
    assert register is not None, operand
    place = f"{register[1]}[{register[2]}]"
    if (register[1] == "f") == (kind == "f32"):
        return f"{place} = {value};"
    return f"{place} = as_float({value});" if register[1] == "f" else f"{place} = as_word({value});"


def _address(operand: str) -> str:
    base, _, offset = operand.strip("[]").partition("+")
    return f"{_get(base, 'u64')} + ({offset or 0})"


def _memory(verb: str, words: list[str], operands: list[str]) -> str:
    kind = words[-1]
    place, values = (operands[1], operands[0]) if verb == "ld" else (operands[0], operands[1])
    if words[1] == "param":
        return _set(values, kind, f"param[{place.strip('[]').rpartition('_')[2]}]")
    cell = f"(({C_TYPES[kind]} *)({_address(place)}))"
    each = list(enumerate(part.strip() for part in values.strip("{}").split(",")))
    if verb == "ld":
        return " ".join(_set(part, kind, f"{cell}[{i}]") for i, part in each)
    return " ".join(f"{cell}[{i}] = {_get(part, kind)};" for i, part in each)


def _pair(operands: list[str]) -> str:
    target, source = operands
    if target.startswith("{"):
        low, high = (part.strip() for part in target.strip("{}").split(","))
        value = _get(source, "u64")
        return f"{_set(low, 'u32', f'(uint32_t){value}')} {_set(high, 'u32', f'(uint32_t)({value} >> 32)')}"
    low, high = (_get(part.strip(), "u32") for part in source.strip("{}").split(","))
    return _set(target, "u64", f"((uint64_t){high} << 32 | {low})")


def _compare(words: list[str], operands: list[str]) -> str:
    how, kind = words[1], words[-1]
    left, right = _get(operands[1], kind), _get(operands[2], kind)
    if kind == "f32" and how == "ne":
        made = f"({left} < {right} || {left} > {right})"
    elif how in COMPARISONS:
        made = f"({left} {COMPARISONS[how]} {right})"
    elif how == "neu":
        made = f"({left} != {right})"
    else:  # true also if an operand is NaN
        opposite = {"ltu": ">=", "leu": ">", "gtu": "<=", "geu": "<", "equ": None}[how]
        made = f"!({left} {opposite} {right})" if opposite else f"!({left} < {right} || {left} > {right})"
    if words[2:-1]:
        made = f"({made} {ARITHMETIC[words[2]]} {_get(operands[3], 'pred')})"
    return _set(operands[0], "pred", made)


def _convert(words: list[str], operands: list[str]) -> str:
    target, source = words[-2:]
    value = _get(operands[1], source)
    if words[1:-2] == ["rzi"]:
        assert target in ("s32", "s64"), words
        bits, top = target[1:], f"0x1p{int(target[1:]) - 1}f"
        ends = f"{value} >= {top} ? INT{bits}_MAX : {value} < -{top} ? INT{bits}_MIN"
        value = f"(isnan({value}) ? 0 : {ends} : (int{bits}_t){value})"
    return _set(operands[0], target, f"({C_TYPES[target]}){value}")


def _wide(words: list[str], operands: list[str]) -> str:
    kind = words[-1]
    whole = kind.replace("32", "64")
    cast = f"({C_TYPES[whole]})"
    return _set(operands[0], whole, f"({cast}{_get(operands[1], kind)} * {cast}{_get(operands[2], kind)})")
