//! Text into HTML.

/// Returns text that stays text, in elements and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(letter),
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

/// Returns a list of texts with a class; nothing where there are none.
pub fn items(class: &str, texts: &[String]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let items: String = texts
        .iter()
        .map(|text| format!("<li>{}</li>", escaped(text)))
        .collect();
    format!("<ul class=\"{class}\">{items}</ul>")
}

/// Returns the items of a list of what a page leaves out: each name with what is the matter, and why.
pub fn left_out(names: &[(String, String)], what: &str) -> String {
    let item = |(name, why): &(String, String)| {
        let (name, why) = (escaped(name), escaped(why));
        format!("<li><strong>{name}</strong> {what}: {why}</li>")
    };
    names.iter().map(item).collect()
}

/// Fills `{{name}}` of a template, in one pass: what a value holds is never filled again. A name
/// without a value is left empty.
pub fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            page.push_str("{{");
            rest = after;
            continue;
        };
        let value = values.iter().find(|(known, _)| *known == name.trim());
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escaped("<a href=\"x\">'&\u{1b}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}"
        );
    }

    #[test]
    fn a_value_is_never_filled_again() {
        let page = filled("{{a}} {{ b }} {{c}} {{", &[("a", "{{b}}"), ("b", "B")]);
        assert_eq!(page, "{{b}} B  {{");
    }
}
