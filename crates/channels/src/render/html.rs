//! Small surgery on rendered HTML: text from it, links in it, what is put before its end.
//!
//! Not an HTML parser: it walks tags with their quoted attributes and leaves everything that it
//! does not understand as it is.

/// One piece of a document.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// Whole tag with its angle brackets.
    Tag(&'a str),
    Comment(&'a str),
}

/// Walks a document piece by piece.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        let (length, make): (usize, fn(&'a str) -> Piece<'a>) = if text.starts_with("<!--") {
            (text.find("-->").map_or(text.len(), |at| at + 3), Piece::Comment)
        } else if is_tag(text) {
            (tag_end(text), Piece::Tag)
        } else {
            let from = text.chars().next().map_or(0, char::len_utf8);
            (text[from..].find('<').map_or(text.len(), |at| at + from), Piece::Text)
        };
        self.0 = &text[length..];
        Some(make(&text[..length]))
    }
}

fn is_tag(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('<')
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
}

fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '>' => return at + 1,
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    text.len()
}

/// Lower-cased name of a tag, with `/` for an end tag.
fn tag_name(tag: &str) -> String {
    tag[1..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '>')
        .enumerate()
        .take_while(|&(at, c)| at == 0 || c != '/')
        .map(|(_, c)| c.to_ascii_lowercase())
        .collect()
}

/// Where the value of attribute `name` stands in `tag`, without its quotes.
fn attribute(tag: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let bytes = tag.as_bytes();
    let mut at = 1 + tag[1..].find(|c: char| c.is_whitespace())?;
    while at < bytes.len() {
        at += tag[at..].find(|c: char| !c.is_whitespace() && c != '/')?;
        let end = at + tag[at..].find(|c: char| c.is_whitespace() || c == '=' || c == '>')?;
        let found = tag[at..end].eq_ignore_ascii_case(name);
        let after = end + tag[end..].find(|c: char| !c.is_whitespace())?;
        if bytes[after] != b'=' {
            if bytes[after] == b'>' {
                return None;
            }
            at = after;
            continue;
        }
        let value = after + 1 + tag[after + 1..].find(|c: char| !c.is_whitespace())?;
        let range = match bytes[value] {
            quote @ (b'"' | b'\'') => {
                let end = value + 1 + tag[value + 1..].find(char::from(quote))?;
                value + 1..end
            }
            _ => {
                let end = tag[value..].find(|c: char| c.is_whitespace() || c == '>')?;
                value..value + end
            }
        };
        if found {
            return Some(range);
        }
        at = (range.end + 1).min(bytes.len());
    }
    None
}

/// Replaces the `href` of every `<a>` by what `rewrite` gives for it (unescaped in, unescaped out).
pub(super) fn rewrite_links(html: &str, rewrite: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(html.len() * 2);
    for piece in Pieces(html) {
        match piece {
            Piece::Tag(tag) if tag_name(tag) == "a" => {
                let new = attribute(tag, "href").and_then(|range| {
                    rewrite(&unescape(&tag[range.clone()])).map(|new| (range, new))
                });
                if let Some((range, new)) = new {
                    out.push_str(&tag[..range.start]);
                    out.push_str(&super::filters::escape_once(&new));
                    out.push_str(&tag[range.end..]);
                } else {
                    out.push_str(tag);
                }
            }
            Piece::Tag(text) | Piece::Text(text) | Piece::Comment(text) => out.push_str(text),
        }
    }
    out
}

/// Puts `addition` before `</body>`, or at the end.
pub(super) fn before_end(html: &mut String, addition: &str) {
    let at = rfind_ignore_case(html, "</body").or_else(|| rfind_ignore_case(html, "</html"));
    html.insert_str(at.unwrap_or(html.len()), addition);
}

/// Puts `addition` after the `<body …>` tag, or at the beginning.
pub(super) fn after_start(html: &mut String, addition: &str) {
    let mut at = 0;
    for piece in Pieces(html) {
        let text = match piece {
            Piece::Tag(tag) if tag_name(tag) == "body" => {
                at += tag.len();
                html.insert_str(at, addition);
                return;
            }
            Piece::Tag(text) | Piece::Text(text) | Piece::Comment(text) => text,
        };
        at += text.len();
    }
    html.insert_str(0, addition);
}

fn rfind_ignore_case(text: &str, needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    (0..=text.len().checked_sub(needle.len())?)
        .rev()
        .find(|&at| text[at..at + needle.len()].eq_ignore_ascii_case(needle))
}

/// The plain-text part of a message that has only HTML.
pub(super) fn to_text(html: &str) -> String {
    let mut out = Lines::default();
    let mut hidden: Option<String> = None;
    let mut link: Option<(String, usize)> = None;
    for piece in Pieces(html) {
        match piece {
            Piece::Comment(_) => {}
            Piece::Text(text) if hidden.is_none() => out.push(&unescape(text)),
            Piece::Text(_) => {}
            Piece::Tag(tag) => {
                let name = tag_name(tag);
                if let Some(open) = &hidden {
                    if name.strip_prefix('/') == Some(open) {
                        hidden = None;
                    }
                    continue;
                }
                match name.as_str() {
                    "style" | "script" | "head" | "title" if !tag.ends_with("/>") => {
                        hidden = Some(name);
                    }
                    "a" => {
                        let href = attribute(tag, "href").map(|range| unescape(&tag[range]));
                        link = href
                            .filter(|href| href.starts_with("http") || href.starts_with("mailto:"))
                            .map(|href| (href, out.0.len()));
                    }
                    "/a" => {
                        if let Some((href, from)) = link.take()
                            && !out.0[from.min(out.0.len())..].contains(&href)
                        {
                            out.push(&format!(" ({href})"));
                        }
                    }
                    "img" => {
                        if let Some(range) = attribute(tag, "alt") {
                            out.push(&unescape(&tag[range]));
                        }
                    }
                    "br" | "tr" | "/tr" | "li" | "/li" | "div" | "/div" => out.line(),
                    "p" | "/p" | "h1" | "/h1" | "h2" | "/h2" | "h3" | "/h3" | "table" | "ul"
                    | "/ul" | "ol" | "/ol" | "hr" => out.paragraph(),
                    "td" | "/td" | "th" | "/th" => out.push(" "),
                    _ => {}
                }
            }
        }
    }
    out.0.trim().to_owned()
}

/// Text with its white space folded.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            // Zero-width fillers of preheaders say nothing in text.
            if matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}' | '\u{34f}') {
                continue;
            }
            if c.is_whitespace() {
                if !self.0.ends_with([' ', '\n']) && !self.0.is_empty() {
                    self.0.push(' ');
                }
            } else {
                self.0.push(c);
            }
        }
    }

    fn line(&mut self) {
        while self.0.ends_with(' ') {
            self.0.pop();
        }
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push('\n');
        }
    }

    fn paragraph(&mut self) {
        self.line();
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }
}

/// Replaces the common entities.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.bytes().take(12).position(|b| b == b';').map(|end| &rest[1..end]);
        match entity.and_then(entity_char) {
            Some(c) => {
                out.push(c);
                rest = &rest[rest.find(';').map_or(rest.len(), |end| end + 1)..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity_char(entity: &str) -> Option<char> {
    if let Some(code) = entity.strip_prefix('#') {
        let code = match code.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => code.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "middot" => '·',
        "copy" => '©',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "pound" => '£',
        "euro" => '€',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_html_reads_well() {
        let html = "<html><head><style>p{}</style><title>t</title></head><body><p>Hello <b>Ann</b>,\
                    </p><p>see <a href=\"https://a.example/?x=1&amp;y=2\">the  cake</a><br>bye &amp; thanks</p></body></html>";
        assert_eq!(
            to_text(html),
            "Hello Ann,\n\nsee the cake (https://a.example/?x=1&y=2)\nbye & thanks"
        );
    }

    #[test]
    fn only_hrefs_of_anchors_change() {
        let html = r#"<a class="href" href='http://x/?a=1&amp;b=2' >x</a><link href="http://y"><A HREF=http://z>z</A><!-- <a href="http://c"> -->"#;
        let mut seen = Vec::new();
        let out = rewrite_links(html, &mut |href| {
            seen.push(href.to_owned());
            Some(format!("T{}", seen.len()))
        });
        assert_eq!(seen, ["http://x/?a=1&b=2", "http://z"]);
        assert_eq!(
            out,
            r#"<a class="href" href='T1' >x</a><link href="http://y"><A HREF=T2>z</A><!-- <a href="http://c"> -->"#
        );
    }

    #[test]
    fn additions_find_the_body() {
        let mut html = String::from("<HTML><BODY class='a>b'>x</BODY></HTML>");
        after_start(&mut html, "[");
        before_end(&mut html, "]");
        assert_eq!(html, "<HTML><BODY class='a>b'>[x]</BODY></HTML>");
        let mut bare = String::from("x");
        before_end(&mut bare, "]");
        assert_eq!(bare, "x]");
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_walked(html in "[ -~é<>\"'&/=!-]{0,200}") {
            let _ = to_text(&html);
            proptest::prop_assert_eq!(rewrite_links(&html, &mut |_| None), html);
        }
    }
}
