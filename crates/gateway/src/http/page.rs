//! The pages that messages link to: unsubscribe, and the node's `/why`. Plain, readable without
//! scripts or images.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What a page says. Everything in it is plain text.
#[derive(Debug, Clone, Copy)]
pub struct Page<'p> {
    /// Status of the answer.
    pub status: StatusCode,
    /// Whose page it is; empty: nobody is named.
    pub company: &'p str,
    /// Heading.
    pub title: &'p str,
    /// Paragraphs.
    pub text: &'p [&'p str],
    /// Label of the button that confirms, when there is something to confirm.
    pub button: Option<&'p str>,
    /// Address and label of the link below.
    pub link: Option<(&'p str, &'p str)>,
}

const STYLE: &str = "body{margin:0;background:#f4f4f1;color:#1c1c1a;font:1.0625rem/1.55 system-ui,\
sans-serif}main{max-width:32rem;margin:12vh auto 0;padding:2rem;background:#fff;border-radius:.75rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}.from{color:#57574f;margin:0 0 .5rem}\
button{font:inherit;font-weight:600;padding:.75rem 1.5rem;border:0;border-radius:.5rem;\
background:#1c1c1a;color:#fff;cursor:pointer}button:focus-visible,a:focus-visible{outline:3px solid \
#2b6cb0;outline-offset:3px}a{color:#1f4f8a}@media(prefers-color-scheme:dark){body{background:#161615;\
color:#eee}main{background:#232321}.from{color:#b5b5ab}button{background:#eee;color:#161615}\
a{color:#9cc4f2}}";

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let title = escape(self.title);
        let company = escape(self.company);
        let (suffix, from) = if company.is_empty() {
            (String::new(), String::new())
        } else {
            (format!(" · {company}"), format!("<p class=\"from\">{company}</p>"))
        };
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" \
             content=\"noindex\"><title>{title}{suffix}</title><style>{STYLE}</style></head>\
             <body><main>{from}<h1>{title}</h1>"
        );
        for paragraph in self.text {
            html.push_str(&format!("<p>{}</p>", escape(paragraph)));
        }
        if let Some(label) = self.button {
            html.push_str(&format!(
                "<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" \
                 value=\"One-Click\"><button type=\"submit\">{}</button></form>",
                escape(label)
            ));
        }
        if let Some((url, label)) = self.link {
            html.push_str(&format!("<p><a href=\"{}\">{}</a></p>", escape(url), escape(label)));
        }
        html.push_str("</main></body></html>");
        let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (self.status, headers, html).into_response()
    }
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
