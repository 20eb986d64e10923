//! How far a template may go: whoever writes one must not be able to hold up, or fill, the process that renders it.

use std::io;

use minijinja::value::{Kwargs, StringInput};
use minijinja::{Environment, Error, ErrorKind, Value, filters};

/// Steps of one rendering; the largest templates that people write take some thousands.
const STEPS_MAX: u64 = 1_000_000;
/// Bytes of one text: eight times what the kernel takes as one argument.
const TEXT_MAX: usize = 1024 * 1024;
const INDENT_MAX: usize = 1000;

pub fn set(environment: &mut Environment<'_>) {
    environment.set_fuel(Some(STEPS_MAX));
    environment.add_filter("indent", indent);
}

/// What is said of a template that went too far.
pub fn words(error: &Error) -> Option<String> {
    match error.kind() {
        ErrorKind::OutOfFuel => Some(format!("it takes more than {STEPS_MAX} steps")),
        ErrorKind::WriteFailure => Some(format!("its text is longer than {TEXT_MAX} bytes")),
        _ => None,
    }
}

/// Jinja's, for widths that somebody may want.
fn indent(
    text: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let wanted = match width {
        Some(width) => Some(width),
        None => options.get::<Option<usize>>("width")?,
    };
    if wanted.is_some_and(|wanted| wanted > INDENT_MAX) {
        let why = format!("indent takes at most {INDENT_MAX}");
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    }
    filters::indent(text, width, first, blank, options)
}

/// What was rendered so far.
#[derive(Debug, Default)]
pub struct Text(Vec<u8>);

impl Text {
    pub fn into_string(self) -> String {
        String::from_utf8(self.0).expect("templates render text")
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > TEXT_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: Result<&str, &str>) {
        let mut environment = Environment::new();
        set(&mut environment);
        let mut text = Text::default();
        let parsed = environment.template_from_str(template).expect("it is one");
        let rendered = parsed.render_captured_to((), &mut text).map(drop);
        let words = |error: Error| {
            super::words(&error).unwrap_or_else(|| error.detail().unwrap_or_default().to_owned())
        };
        let rendered = rendered.map(|()| text.into_string()).map_err(words);
        assert_eq!(rendered, expected.map(str::to_owned).map_err(str::to_owned), "{template}");
    }

    #[test]
    fn what_goes_too_far_ends_with_an_error() {
        let loops =
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        check(loops, Err("it takes more than 1000000 steps"));
        let text = "{% for i in range(999) %}{{ 'x' * 99999 }}{% endfor %}";
        check(text, Err("its text is longer than 1048576 bytes"));
        check("{{ 'x' | indent(99999999999999) }}", Err("indent takes at most 1000"));
        check("{{ 'a\n\nb\n' | indent(2) }}", Ok("a\n\n  b"));
        check("{{ 'a\n\nb' | indent(2, true) }}", Ok("  a\n\n  b"));
        check("{{ 'a\n\nb' | indent(width=1, first=true, blank=true) }}", Ok(" a\n \n b"));
    }
}
