"""Opens text files, plain or compressed, and reads them line by line as UTF-8."""

import bz2
import gzip
import io
import itertools
import lzma
from pathlib import Path

LONGEST = 1 << 28  # bytes of one row or line; more is a broken file, and would fill the memory


def kind(path):
    """Two suffixes of a file in lower case: of its format, and of its compression or ""."""
    suffixes = ["", *(suffix.lower() for suffix in Path(path).suffixes)]
    packed = suffixes.pop() if suffixes[-1] in OPENERS else ""
    return suffixes[-1], packed


def lines(path, mistakes):
    """Yield (number, text) for each line of a UTF-8 file, plain or compressed.

    The text has its newline, and no byte-order mark; it is None for a line that is not UTF-8.
    """
    with opened(path) as stream:
        for number in itertools.count(1):
            data = stream.readline(LONGEST + 1)
            if not data:
                return
            if len(data) > LONGEST:
                found = f"found a line of more than {LONGEST} bytes, expected at most that many"
                return mistakes.add(f"{path}:{number}", text=f"{found}; cut it")
            yield number, decoded(data, path, mistakes, number)


def read_text(path, mistakes):
    """The whole text of a UTF-8 file, or None if it is not one."""
    if not is_file(path, mistakes):
        return None
    return decoded(path.read_bytes(), path, mistakes)


def is_file(path, mistakes):
    """Whether a path is a file. Reading a FIFO would wait forever."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "something else" if path.exists() else "nothing"
        mistakes.add(path, text=f"found {found}, expected a file")
    return path.is_file()


def opened(path):
    return OPENERS.get(kind(path)[1], open)(path, "rb")


def _zstd(path, mode):
    import pyarrow  # Python has no zstd of its own before 3.14

    return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd"))


OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _zstd}


def decoded(data, path, mistakes, line=1):
    """The text of a line or a file; None, and a mistake, if it is not UTF-8."""
    # UTF-16 of English is valid UTF-8, every other character a NUL.
    if (zero := data.find(b"\0")) >= 0 and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        line += data.count(b"\n", 0, zero)
        text = "found a NUL, expected text in UTF-8; save the file in the encoding UTF-8"
        return mistakes.add(f"{path}:{line}", text=text)
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1
        line += data.count(b"\n", 0, error.start)
        not_utf8(f"{path}:{line}", data[error.start], error.start - begin, "line", mistakes)


def not_utf8(place, byte, position, part, mistakes):
    found = f"found the byte 0x{byte:02x}, expected UTF-8; save the file in the encoding UTF-8"
    mistakes.add(place, text=f"{found} (it is byte {position + 1} of the {part})")
