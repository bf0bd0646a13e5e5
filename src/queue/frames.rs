//! What a broker passes on and the library cannot read, repaired on its way.
//!
//! AMQP says that short texts (ids, names, the routing key) are UTF-8, and RabbitMQ does not look. The library does, and
//! gives up the whole connection where they are not: the broker delivers the same message again, for ever, and nothing
//! behind it is taken. And a table of headers nests as deep as its sender likes; the library's parser takes a stack frame for
//! each level, and a stack that overflows ends the process: one message of 130 kB would end every worker that reads it.
//!
//! So the broker's bytes come through here first. A repair never changes a length: a byte that is not UTF-8 becomes U+001A
//! SUBSTITUTE, which intake refuses in an id with a reason; a table that nests too deep becomes one that holds a single
//! byte array named [`UNREADABLE`]. The message is then rejected like any other: recorded, answered, acknowledged.

/// The name of the one header that is left of headers which cannot be read.
pub(super) const UNREADABLE: &str = "x-mozhao-unreadable";
/// Stands for a byte that is not UTF-8: a control character, so that no id is taken for another.
const SUBSTITUTE: u8 = 0x1a;
/// The deepest nesting of tables and lists in headers; what the broker adds itself (`x-death`) has three levels.
const MAX_LEVELS: usize = 8;
/// The longest frame that is looked into; the library agrees with the broker on 128 KiB.
const MAX_FRAME: usize = 1024 * 1024;
/// Type, channel, size.
const HEAD: usize = 7;
/// Frame types.
const METHOD: u8 = 1;
const CONTENT: u8 = 2;
const LAST_TYPE: u8 = 8;
/// The class `basic`, which delivers.
const BASIC: u16 = 60;

/// Takes the broker's bytes as they come, in whatever pieces, and gives them repaired.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// The beginning of a frame that is not complete.
    held: Vec<u8>,
    /// Bytes of the current frame that pass as they are.
    passing: usize,
    /// This is not AMQP as we know it: everything passes.
    blind: bool,
}

impl Repair {
    /// Takes bytes; appends to `out` what can be handed on.
    pub(super) fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.blind {
                return out.extend_from_slice(input);
            }
            if self.passing > 0 {
                let (now, later) = input.split_at(self.passing.min(input.len()));
                out.extend_from_slice(now);
                self.passing -= now.len();
                input = later;
                continue;
            }
            let wanted = self.wanted();
            let (now, later) = input.split_at((wanted - self.held.len()).min(input.len()));
            self.held.extend_from_slice(now);
            input = later;
            if self.held.len() == wanted {
                self.complete(out);
            }
        }
    }

    /// How long `held` must be before something can be said about it.
    fn wanted(&self) -> usize {
        if self.held.len() < HEAD { HEAD } else { HEAD + size(&self.held) + 1 }
    }

    /// A frame's head has come, or all of a frame that is looked into.
    fn complete(&mut self, out: &mut Vec<u8>) {
        let size = size(&self.held);
        let kind = self.held.first().copied().unwrap_or(0);
        if self.held.len() == HEAD {
            if kind == 0 || kind > LAST_TYPE {
                self.blind = true;
            } else if !matches!(kind, METHOD | CONTENT) || size > MAX_FRAME {
                self.passing = size + 1;
            } else {
                return;
            }
        } else if let Some(payload) = self.held.get_mut(HEAD..HEAD + size) {
            // What cannot be understood is handed on as it is: the library says what it thinks of it.
            let _understood = if kind == METHOD { method(payload) } else { content(payload) };
        }
        out.append(&mut self.held);
    }
}

fn size(head: &[u8]) -> usize {
    head.get(3..HEAD).and_then(|bytes| bytes.try_into().ok()).map_or(0, |bytes| u32::from_be_bytes(bytes) as usize)
}

/// The methods that carry a stranger's routing key: return, deliver, get-ok.
fn method(payload: &mut [u8]) -> Option<()> {
    let mut at = Cursor { bytes: payload, at: 0 };
    if at.number(2)? != u64::from(BASIC) {
        return Some(());
    }
    match at.number(2)? {
        50 => {
            at.skip(2)?;
            at.short()?;
        }
        60 => {
            at.short()?;
            at.skip(8 + 1)?;
        }
        71 => at.skip(8 + 1)?,
        _ => return Some(()),
    }
    at.short()?;
    at.short()
}

/// A content's properties, in the order of their flags' bits from the highest.
fn content(payload: &mut [u8]) -> Option<()> {
    let mut at = Cursor { bytes: payload, at: 0 };
    if at.number(2)? != u64::from(BASIC) {
        return Some(());
    }
    at.skip(2 + 8)?;
    let flags = at.number(2)?;
    for bit in (2..16).rev().filter(|bit| flags & (1 << bit) != 0) {
        match bit {
            13 => at.headers()?,
            // Delivery mode, priority.
            11 | 12 => at.skip(1)?,
            // The timestamp.
            6 => at.skip(8)?,
            _ => at.short()?,
        }
    }
    Some(())
}

/// A place in bytes; `None` where they end too early.
struct Cursor<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, length: usize) -> Option<&mut [u8]> {
        let taken = self.bytes.get_mut(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(drop)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number(4)?).ok()
    }

    /// A short text: repaired.
    fn short(&mut self) -> Option<()> {
        let length = usize::try_from(self.number(1)?).ok()?;
        substitute(self.take(length)?);
        Some(())
    }

    /// The headers: repaired, or replaced where they cannot be.
    fn headers(&mut self) -> Option<()> {
        let length = self.length()?;
        let table = self.take(length)?;
        if (Cursor { bytes: table, at: 0 }).table(1).is_none() {
            replace(table);
        }
        Some(())
    }

    /// Entries up to the end of the bytes.
    fn table(&mut self, level: usize) -> Option<()> {
        while self.at < self.bytes.len() {
            self.short()?;
            self.value(level)?;
        }
        Some(())
    }

    fn value(&mut self, level: usize) -> Option<()> {
        match u8::try_from(self.number(1)?).ok()? {
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'U' | b'u' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'L' | b'l' | b'd' | b'T' => self.skip(8),
            b'V' => Some(()),
            b'S' | b'x' => {
                let length = self.length()?;
                self.skip(length)
            }
            kind @ (b'A' | b'F') if level < MAX_LEVELS => {
                let length = self.length()?;
                let mut inner = Cursor { bytes: self.take(length)?, at: 0 };
                if kind == b'F' {
                    return inner.table(level + 1);
                }
                while inner.at < inner.bytes.len() {
                    inner.value(level + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }
}

/// Makes a text UTF-8, byte for byte.
fn substitute(text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        let from = error.valid_up_to();
        let to = error.error_len().map_or(text.len(), |length| from + length);
        text[from..to].fill(SUBSTITUTE);
    }
}

/// Makes a table of the same length that holds one byte array.
fn replace(table: &mut [u8]) {
    // The name's length, the name, the type, the array's length.
    let around = 1 + UNREADABLE.len() + 1 + 4;
    let Some((name, inside)) = u8::try_from(UNREADABLE.len()).ok().zip(table.len().checked_sub(around)) else { return };
    let Ok(inside) = u32::try_from(inside) else { return };
    let head = [&[name], UNREADABLE.as_bytes(), b"x", &inside.to_be_bytes()].concat();
    table[..around].copy_from_slice(&head);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "tests")]

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[kind, 0, 1][..], &(payload.len() as u32).to_be_bytes(), payload, &[0xce]].concat()
    }

    fn short(text: &[u8]) -> Vec<u8> {
        [&[text.len() as u8], text].concat()
    }

    fn deliver(key: &[u8]) -> Vec<u8> {
        frame(METHOD, &[&[0, 60, 0, 60][..], &short(b"tag"), &[0; 9], &short(b"x"), &short(key)].concat())
    }

    fn properties(table: &[u8], id: &[u8]) -> Vec<u8> {
        let flags = (1_u16 << 13 | 1 << 12 | 1 << 7).to_be_bytes();
        let length = (table.len() as u32).to_be_bytes();
        frame(CONTENT, &[&[0, 60, 0, 0][..], &[0; 8], &flags, &length, table, &[2], &short(id)].concat())
    }

    fn nested(kind: u8, levels: usize) -> Vec<u8> {
        let mut value = vec![b'V'];
        for _ in 0..levels {
            let inside = if kind == b'F' { [&short(b"a")[..], &value].concat() } else { value };
            value = [&[kind], &(inside.len() as u32).to_be_bytes()[..], &inside].concat();
        }
        [short(b"a"), value].concat()
    }

    /// What comes out, fed in pieces of this size.
    fn repaired(input: &[u8], piece: usize) -> Vec<u8> {
        let (mut repair, mut out) = (Repair::default(), Vec::new());
        input.chunks(piece).for_each(|piece| repair.feed(piece, &mut out));
        out
    }

    #[test]
    fn what_can_be_read_passes_unchanged() {
        let body = frame(3, &[0xff; 300]);
        let heartbeat = frame(8, &[]);
        let other = frame(METHOD, &[0, 10, 0, 10, 0xff, 0xff]);
        let table = [nested(b'F', 3), nested(b'A', 3), short(b"n"), vec![b'I', 0, 0, 0, 1]].concat();
        let input = [deliver(b"change"), properties(&table, "墨诏".as_bytes()), body, heartbeat, other].concat();
        for piece in [1, 2, 7, 100, input.len()] {
            assert_eq!(repaired(&input, piece), input, "in pieces of {piece}");
        }
        let other_protocol = b"AMQP\x00\x00\x09\x01\xff\xff";
        assert_eq!(repaired(other_protocol, 3), other_protocol);
    }

    #[test]
    fn texts_become_utf8_and_keep_their_length() {
        let input = [deliver(b"ch\xffnge"), properties(&[], b"caf\xe9 \xe5\xa2")].concat();
        let expected = [deliver(b"ch\x1ange"), properties(&[], b"caf\x1a \x1a\x1a")].concat();
        assert_eq!(repaired(&input, 5), expected);
        let names = [short(b"\xc3("), vec![b't', 1]].concat();
        assert_eq!(repaired(&properties(&names, b"a"), 64), properties(&[short(b"\x1a("), vec![b't', 1]].concat(), b"a"));
    }

    #[test]
    fn headers_that_cannot_be_read_become_one() {
        let unknown = [short(b"some longer name of a header"), vec![b'?', 1, 2, 3]].concat();
        for table in [nested(b'F', 20_000), nested(b'A', MAX_LEVELS + 2), nested(b'F', MAX_LEVELS), unknown] {
            let out = repaired(&properties(&table, b"id"), 4096);
            assert_eq!(out.len(), properties(&table, b"id").len());
            let at = HEAD + 14 + 4;
            let head = [short(UNREADABLE.as_bytes()), vec![b'x']].concat();
            assert_eq!(out.get(at..at + head.len()), Some(&head[..]));
            assert!(out.ends_with(&[&short(b"id")[..], &[0xce]].concat()));
            assert_eq!(repaired(&out, 10), out, "it can be read now");
        }
    }

    #[test]
    fn nothing_is_lost_whatever_comes() {
        let seed = [deliver(b"key"), properties(&nested(b'F', 2), b"id"), frame(3, b"{}")].concat();
        for at in 0..seed.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut input = seed.clone();
                input[at] = value;
                let (mut repair, mut out) = (Repair::default(), Vec::new());
                repair.feed(&input, &mut out);
                assert_eq!(out.len() + repair.held.len(), input.len());
            }
        }
    }
}
