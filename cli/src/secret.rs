//! What nobody may see while it is typed.

use std::io::{IsTerminal, Read};

use anyhow::Context;

/// A line that is asked for at a terminal, or all of standard input.
pub fn secret(prompt: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).context("the terminal cannot be read");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}
