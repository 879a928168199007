//! How a CSV is written: delimiter, quote, line ends, header. Guessed from its beginning alone.

use csv::{ByteRecord, QuoteStyle, Reader, ReaderBuilder, Terminator, WriterBuilder};

use super::id_column::is_name_of_ids;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const BOM: &[u8] = b"\xef\xbb\xbf";

/// How a CSV is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) bom: bool,
    /// Its first line names the delimiter, as Excel reads it; it is left out of what is written.
    pub(super) separator_line: bool,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    /// Every field is quoted, not only those that need it.
    pub(super) all_quoted: bool,
    pub(super) crlf: bool,
    pub(super) header: bool,
}

/// What the caller knows better.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Known {
    pub(in crate::cli) delimiter: Option<u8>,
    pub(in crate::cli) header: Option<bool>,
}

/// The beginning of a file.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Without a line that names the delimiter, and without a mark before such a line.
    pub(super) bytes: Vec<u8>,
    /// It is the whole file.
    whole: bool,
    bom: bool,
    /// What the first line says the delimiter is.
    separator: Option<u8>,
}

impl Sample {
    pub(super) fn of(mut bytes: Vec<u8>, whole: bool) -> Self {
        let bom = bytes.starts_with(BOM);
        let text = bytes.strip_prefix(BOM).unwrap_or(&bytes);
        let (mut separator, mut rest) = (None, bytes.len());
        if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', named, end @ ..] = text
            && let Some(below) = line_end(end)
        {
            (separator, rest) = (Some(*named), below.len());
        }
        bytes.drain(..bytes.len() - rest);
        Self {
            bytes,
            whole,
            bom,
            separator,
        }
    }

    /// Its rows; the last one only if it cannot be cut off.
    fn rows(&self, reader: &mut Reader<&[u8]>) -> Vec<ByteRecord> {
        let mut rows: Vec<_> = reader.byte_records().map_while(Result::ok).collect();
        if !self.whole && rows.len() > 1 {
            rows.pop();
        }
        rows
    }
}

impl Dialect {
    /// Guesses; also returns the sample's rows, the header among them.
    ///
    /// # Errors
    /// One line that says what cannot be told.
    pub(super) fn guess(sample: &Sample, known: Known) -> Result<(Self, Vec<ByteRecord>), String> {
        let bytes = &sample.bytes;
        if [&b"\xff\xfe"[..], b"\xfe\xff"]
            .iter()
            .any(|bom| bytes.starts_with(bom))
        {
            return Err("is UTF-16; save it as CSV in UTF-8".to_owned());
        }
        if bytes.contains(&0) {
            return Err("has NUL bytes; save it as CSV in UTF-8".to_owned());
        }
        let named = known.delimiter.or(sample.separator);
        let delimiter = named.unwrap_or_else(|| delimiter(sample));
        let quote = quote(sample, delimiter);
        let mut dialect = Self {
            bom: sample.bom,
            separator_line: sample.separator.is_some(),
            delimiter,
            quote,
            all_quoted: false,
            crlf: ends_with_crlf(bytes),
            header: false,
        };
        let rows = sample.rows(&mut dialect.reader().from_reader(bytes));
        if rows.is_empty() {
            return Err("is empty: no row in it".to_owned());
        }
        dialect.all_quoted = dialect.quotes_all(sample);
        dialect.header = match known.header.or_else(|| has_header(&rows)) {
            Some(header) => header,
            None => {
                let what = "cannot tell whether its first row is a header; say --header yes or no";
                return Err(what.to_owned());
            }
        };
        Ok((dialect, rows))
    }

    /// A reader that takes a header for a row, and rows of any length.
    pub(super) fn reader(&self) -> ReaderBuilder {
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(self.delimiter)
            .quote(self.quote)
            .has_headers(false)
            .flexible(true);
        builder
    }

    /// A writer that writes as the input was written.
    pub(super) fn writer(&self) -> WriterBuilder {
        let mut builder = WriterBuilder::new();
        builder
            .delimiter(self.delimiter)
            .quote(self.quote)
            .quote_style(match self.all_quoted {
                true => QuoteStyle::Always,
                false => QuoteStyle::Necessary,
            })
            .terminator(match self.crlf {
                true => Terminator::CRLF,
                false => Terminator::Any(b'\n'),
            })
            .flexible(true);
        builder
    }

    /// What begins the file.
    pub(super) const fn begin(&self) -> &'static [u8] {
        if self.bom { BOM } else { b"" }
    }

    /// Lines before the first that is read as a row.
    pub(super) fn lines_before(&self) -> u64 {
        u64::from(self.separator_line)
    }

    /// Whether each field stands in quotes, empty ones too.
    fn quotes_all(&self, sample: &Sample) -> bool {
        let mut reader = self.reader().quoting(false).from_reader(&sample.bytes[..]);
        let rows = sample.rows(&mut reader);
        // Fields with breaks or delimiters in them do not look quoted when cut at those.
        let fields = rows.iter().flat_map(ByteRecord::iter);
        let (mut quoted, mut bare) = (0, 0);
        for field in fields {
            let field = field.strip_prefix(BOM).unwrap_or(field);
            if field.first() == Some(&self.quote) || field.last() == Some(&self.quote) {
                quoted += 1;
            } else {
                bare += 1;
            }
        }
        quoted > 0 && bare == 0
    }

    /// What it is, for people.
    pub(super) fn shown(&self) -> String {
        let delimiter = match self.delimiter {
            b',' => "comma".to_owned(),
            b';' => "semicolon".to_owned(),
            b'\t' => "tab".to_owned(),
            b'|' => "pipe".to_owned(),
            other => format!("{:?}", char::from(other)),
        };
        let mut parts = vec![format!("delimiter {delimiter}")];
        if self.quote != b'"' {
            parts.push(format!("quote {}", char::from(self.quote)));
        }
        parts.push(format!(
            "line end {}",
            if self.crlf { "CRLF" } else { "LF" }
        ));
        if self.bom {
            parts.push("byte order mark".to_owned());
        }
        if self.separator_line {
            parts.push("sep= line (left out)".to_owned());
        }
        parts.push(if self.header { "header" } else { "no header" }.to_owned());
        parts.join(", ")
    }
}

/// What follows a line end, if it begins with one.
fn line_end(bytes: &[u8]) -> Option<&[u8]> {
    let ends = [&b"\r\n"[..], b"\n"];
    ends.iter().find_map(|end| bytes.strip_prefix(*end))
}

fn ends_with_crlf(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let before = end.and_then(|end| end.checked_sub(1));
    before.and_then(|before| bytes.get(before)) == Some(&b'\r')
}

/// The delimiter that cuts the most rows into the same number of fields, more than one.
fn delimiter(sample: &Sample) -> u8 {
    let mut best = (0, 0, b',');
    for delimiter in DELIMITERS {
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true);
        let rows = sample.rows(&mut builder.from_reader(&sample.bytes[..]));
        let fields = rows.first().map_or(0, ByteRecord::len);
        if fields < 2 {
            continue;
        }
        let alike = rows.iter().filter(|row| row.len() == fields).count();
        let score = alike * 1_000 / rows.len();
        if (score, fields) > (best.0, best.1) {
            best = (score, fields, delimiter);
        }
    }
    best.2
}

/// `'` where every row has a field in such quotes, and none in the usual ones.
fn quote(sample: &Sample, delimiter: u8) -> u8 {
    if sample.bytes.contains(&b'"') {
        return b'"';
    }
    let mut builder = ReaderBuilder::new();
    builder
        .delimiter(delimiter)
        .quoting(false)
        .has_headers(false)
        .flexible(true);
    let rows = sample.rows(&mut builder.from_reader(&sample.bytes[..]));
    let quoted = |field: &[u8]| {
        field.len() > 1 && field.first() == Some(&b'\'') && field.last() == Some(&b'\'')
    };
    let all = rows.iter().all(|row| row.iter().any(quoted));
    if all && !rows.is_empty() { b'\'' } else { b'"' }
}

/// Whether the first row names columns; `None` if that cannot be told. Guessed wrong it mints for a
/// column's name, or leaves a recipient out: an address alone proves that there is no header.
fn has_header(rows: &[ByteRecord]) -> Option<bool> {
    let (first, rest) = rows.split_first()?;
    if first.iter().any(is_name_of_ids) {
        return Some(true);
    }
    if first.iter().any(|field| field.contains(&b'@')) {
        return Some(false);
    }
    let below = |at: usize| rest.iter().filter_map(move |row| row.get(at));
    let number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    // A year may name a column, but hardly the first; where names are counted they begin with 0.
    let counted = first.get(0).filter(|head| number(head) && *head != b"0");
    if counted.is_some() && !rest.is_empty() && below(0).all(number) {
        return Some(false);
    }
    let telling = |field: &[u8]| field.contains(&b'@') || field.iter().any(u8::is_ascii_digit);
    let differs = |(at, head): (usize, &[u8])| {
        // An empty field is a value that is missing; the first is that of rows that are counted.
        let named = !telling(head) && (at == 0 || !head.is_empty());
        named && below(at).next().is_some() && below(at).all(telling)
    };
    first.iter().enumerate().any(differs).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &[u8]) -> Result<Dialect, String> {
        let sample = Sample::of(text.to_vec(), true);
        Dialect::guess(&sample, Known::default()).map(|(dialect, _)| dialect)
    }

    #[test]
    fn delimiters_are_told_from_what_stands_in_fields() {
        for (text, delimiter) in [
            ("email,name\na@b.c,\"x;y\"\n", b','),
            ("id;price\n1;1,5\n2;2,5\n", b';'),
            ("id\tname\n1\tSmith, John\n2\tDoe, Jane\n", b'\t'),
            ("id|name\n1|a\n", b'|'),
            ("email\na@b.c\n", b','),
            ("sep=;\na,b;id\nc,d;2\n", b';'),
            ("\u{feff}SEP=|\r\nid,x\r\n1,2\r\n", b'|'),
            ("\"id\";\"note\"\r\n\"1\";\"a\r\nb, c, d\"\r\n", b';'),
        ] {
            assert_eq!(
                guess(text.as_bytes()).unwrap().delimiter,
                delimiter,
                "{text:?}"
            );
        }
    }

    #[test]
    fn headers_are_told_or_asked_for() {
        for (text, header) in [
            ("E-Mail\nx\n", Some(true)),
            ("a@b.c\nd@e.f\n", Some(false)),
            ("1,anna\n2,bob\n", Some(false)),
            ("who,when\nanna,2026\nbob,2027\n", Some(true)),
            ("7\n8\n", Some(false)),
            (",who,when\n0,anna,2026\n1,bob,2027\n", Some(true)),
            (",who\n0,anna\n1,bob\n", Some(true)),
            ("member,2025\nm-17,120\nm-18,80\n", Some(true)),
            ("member,2025\nanna,120\nbob,80\n", None),
            ("0,1\n17,29\n18,31\n", None),
            ("anna,,x\nbob,5,y\n", None),
            ("1,anna\n", None),
            ("anna\nbob\n", None),
        ] {
            let told = guess(text.as_bytes()).map(|dialect| dialect.header);
            assert_eq!(told.clone().ok(), header, "{text:?}: {told:?}");
        }
    }

    #[test]
    fn marks_ends_and_quotes_are_kept() {
        let seen = guess(b"\xef\xbb\xbf\"id\",\"n\"\r\n\"1\",\"\"\r\n").unwrap();
        assert!(
            seen.bom && seen.crlf && seen.all_quoted && seen.header,
            "{seen:?}"
        );
        let seen = guess(b"'id','n'\n'1','a'\n").unwrap();
        assert_eq!((seen.quote, seen.crlf), (b'\'', false));
        assert!(!guess(b"id,n\n1,\"a,b\"\n").unwrap().all_quoted);
        for refused in [&b""[..], b"\n\n", b"\xff\xfei\0d\0", b"id\n\0\n"] {
            assert!(guess(refused).is_err(), "{refused:?}");
        }
    }
}
