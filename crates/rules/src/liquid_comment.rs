//! `{% comment %}` of our own: the library's goes on reading after the end of a text when a block in
//! the comment is left open, and panics.

use liquid_core::parser::BlockElement;
use liquid_core::{
    BlockReflection, Language, ParseBlock, Renderable, Result, Runtime, TagBlock, TagTokenIter,
};
use std::io::Write;

/// Leaves out everything up to its end. What stands in it is not looked at, but for comments and
/// `{% raw %}`, which may hold something that reads like an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comment;

impl BlockReflection for Comment {
    fn start_tag(&self) -> &str {
        "comment"
    }
    fn end_tag(&self) -> &str {
        "endcomment"
    }
    fn description(&self) -> &str {
        ""
    }
}

impl ParseBlock for Comment {
    fn parse(
        &self,
        mut arguments: TagTokenIter<'_>,
        mut tokens: TagBlock<'_, '_>,
        options: &Language,
    ) -> Result<Box<dyn Renderable>> {
        arguments.expect_nothing()?;
        while let Some(element) = tokens.next()? {
            if let BlockElement::Tag(tag) = element
                && matches!(tag.name(), "comment" | "raw")
            {
                // One that is left open has read to the end: nothing must be asked after that.
                tag.parse(&mut tokens, options)?;
            }
        }
        tokens.assert_empty();
        Ok(Box::new(Nothing))
    }
    fn reflection(&self) -> &dyn BlockReflection {
        self
    }
}

#[derive(Debug)]
struct Nothing;

impl Renderable for Nothing {
    fn render_to(&self, _writer: &mut dyn Write, _runtime: &dyn Runtime) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::liquid_parser;

    fn rendered(text: &str) -> Option<String> {
        let template = liquid_parser().parse(text).ok()?;
        template.render(&liquid::Object::new()).ok()
    }

    #[test]
    fn what_is_left_open_is_an_error_and_no_panic() {
        for text in [
            "{% comment %}",
            "{% comment %}{% raw %}",
            "{% comment %}{% raw %}{% endcomment %}",
            "{% comment %}{% if x %}",
            "{% comment %}{% comment %}{% endcomment %}",
            "{% comment %}cu% endcomment %}{% raw %}{{ }}{% enddaw %}",
        ] {
            assert_eq!(rendered(text), None, "{text}");
        }
    }

    #[test]
    fn what_stands_in_it_is_left_out() {
        for text in [
            "a{% comment %}b{% endcomment %}c",
            "a{% comment %}{% if x %}{{ y }}{% endcomment %}c",
            "a{% comment %}{% unknown %}{% comment %}b{% endcomment %}{% endcomment %}c",
            "a{% comment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}c",
        ] {
            assert_eq!(rendered(text).as_deref(), Some("ac"), "{text}");
        }
    }
}
