//! Walks over JSON, strictly, and without building anything.
//!
//! It takes less than JSON allows: whatever it is not certain of is `Odd`, and Python reads the
//! frame. What it passes over is checked as well, since a frame that is no JSON is a dead letter.

/// Something that only Python reads.
#[derive(Clone, Copy, Debug)]
pub struct Odd;

/// A result of reading.
pub type Take<T> = Result<T, Odd>;

/// Values within values; Python's own bound is far higher.
const MAX_DEPTH: u32 = 32;
/// Digits of a number: every machine and every decoder holds these.
const MAX_DIGITS: usize = 18;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A place in a text that is JSON, or is to be refused.
#[derive(Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Where it stands.
    pub at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Cursor {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// The bytes from `start` so far.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// The next `count` bytes, where there are so many.
    pub fn ahead(&self, count: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.at..self.at.checked_add(count)?)
    }

    /// Steps over white space.
    #[inline]
    pub fn space(&mut self) {
        if self.bytes.get(self.at).is_some_and(|&byte| byte > b' ') {
            return; // as nearly always
        }
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space; it stays.
    #[inline]
    pub fn peek(&mut self) -> Take<u8> {
        self.space();
        self.bytes.get(self.at).copied().ok_or(Odd)
    }

    /// Steps over `byte`.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Take<()> {
        if self.peek()? != byte {
            return Err(Odd);
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over `byte` where it is next; whether it was.
    #[inline]
    pub fn accept(&mut self, byte: u8) -> Take<bool> {
        let found = self.peek()? == byte;
        self.at += usize::from(found);
        Ok(found)
    }

    /// Whether nothing but white space is left.
    pub fn is_over(&mut self) -> bool {
        self.space();
        self.at == self.bytes.len()
    }

    /// A string that stands for itself: no escapes, no control characters.
    #[inline]
    pub fn string(&mut self) -> Take<&'a str> {
        let (start, end) = self.bounds()?;
        self.text.get(start..end).ok_or(Odd)
    }

    /// As `string`, as bytes: the name of a field.
    #[inline]
    pub fn name(&mut self) -> Take<&'a [u8]> {
        let (start, end) = self.bounds()?;
        self.bytes.get(start..end).ok_or(Odd)
    }

    #[inline]
    fn bounds(&mut self) -> Take<(usize, usize)> {
        self.expect(b'"')?;
        let start = self.at;
        self.run();
        let end = self.at;
        if self.bytes.get(end) != Some(&b'"') {
            return Err(Odd);
        }
        self.at = end + 1;
        Ok((start, end))
    }

    /// What stands between two quotes, where the next byte and the last of so many are quotes.
    #[inline]
    pub fn short<const SIZE: usize>(&mut self) -> Option<&'a [u8; SIZE]> {
        self.space();
        let (text, behind) = self
            .bytes
            .get(self.at..)?
            .strip_prefix(b"\"")?
            .split_first_chunk()?;
        (behind.first() == Some(&b'"')).then_some(text)
    }

    /// As `string`, or null.
    #[inline]
    pub fn maybe_string(&mut self) -> Take<Option<&'a str>> {
        if self.null()? {
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// Steps over null where it is next; whether it was.
    #[inline]
    pub fn null(&mut self) -> Take<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.word(b"null")?;
        Ok(true)
    }

    /// True, false or null.
    pub fn maybe_bool(&mut self) -> Take<Option<bool>> {
        match self.peek()? {
            b't' => self.word(b"true").map(|()| Some(true)),
            b'f' => self.word(b"false").map(|()| Some(false)),
            b'n' => self.word(b"null").map(|()| None),
            _ => Err(Odd),
        }
    }

    /// Steps over any value.
    pub fn skip(&mut self) -> Take<()> {
        self.skip_value(0)
    }

    fn skip_value(&mut self, depth: u32) -> Take<()> {
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' => {
                if depth == MAX_DEPTH {
                    return Err(Odd);
                }
                self.at += 1;
                if self.accept(b'}')? {
                    return Ok(());
                }
                loop {
                    if self.peek()? != b'"' {
                        return Err(Odd);
                    }
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip_value(depth + 1)?;
                    if !self.accept(b',')? {
                        return self.expect(b'}');
                    }
                }
            }
            b'[' => {
                if depth == MAX_DEPTH {
                    return Err(Odd);
                }
                self.at += 1;
                if self.accept(b']')? {
                    return Ok(());
                }
                loop {
                    self.skip_value(depth + 1)?;
                    if !self.accept(b',')? {
                        return self.expect(b']');
                    }
                }
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn skip_string(&mut self) -> Take<()> {
        self.at += 1;
        loop {
            self.run();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Odd),
            }
        }
    }

    /// Steps over an escape that no decoder refuses: half a surrogate pair is Python's.
    fn escape(&mut self) -> Take<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Odd)?;
                let surrogate = matches!(digits[0], b'd' | b'D') && !digits[1].is_ascii_digit();
                let high = matches!(digits[0], b'd' | b'D') && matches!(digits[1], b'8' | b'9');
                if surrogate || high || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Odd);
                }
                self.at += 6;
                Ok(())
            }
            _ => Err(Odd),
        }
    }

    /// Steps to the next byte that a string does not hold as it is: a quote, a backslash, control.
    #[inline]
    fn run(&mut self) {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        while let Some((eight, behind)) = rest.split_first_chunk() {
            let word = u64::from_le_bytes(*eight);
            let quote = word ^ (ONES * 0x22);
            let slash = word ^ (ONES * 0x5c);
            // The lowest byte that is marked is right: what borrows spoils only those above it.
            let found = ((quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word))
                & HIGHS;
            if found != 0 {
                self.at = self.bytes.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
                return;
            }
            rest = behind;
        }
        let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
        self.at = self.bytes.len() - rest.len() + rest.iter().take_while(is_plain).count();
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Take<()> {
        if self.ahead(word.len()) != Some(word) {
            return Err(Odd);
        }
        self.at += word.len();
        Ok(())
    }

    /// Steps over a plain number: an exponent and many digits are Python's.
    fn number(&mut self) -> Take<()> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let whole = self.digits()?;
        if self.bytes[whole] == b'0' && self.at - whole > 1 {
            return Err(Odd);
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if self.at - start > MAX_DIGITS {
            return Err(Odd);
        }
        match self.bytes.get(self.at) {
            Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => Ok(()),
            _ => Err(Odd),
        }
    }

    fn digits(&mut self) -> Take<usize> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            return Err(Odd);
        }
        Ok(start)
    }
}
