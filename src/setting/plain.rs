//! Checks that apply to every plain text of a configuration.

use crate::redact;

/// The message for a text that may be a key.
pub const KEY: &str = "looks like a key or token";

/// The help for a text that may be a key.
pub const MOVE_KEY: &str = "this place is shown in logs, metrics and pages: write what belongs here, keep the key in its source, and change it there, for it was in a readable file";

/// Returns the message for a text of the setting `name`, which continues after the setting's name, and what to
/// do about it. `None` if nothing is wrong.
pub fn problem(text: &str, name: &str) -> Option<(&'static str, String)> {
    if redact::is_a_key(text) {
        return Some((KEY, MOVE_KEY.to_owned()));
    }
    if ["${", "$(", "{{"].iter().any(|start| text.contains(start)) {
        let help = format!(
            "nothing is put in its place: write `{name} = {{ env = \"NAME\" }}`, or `{name} = {{ env = \"NAME\", default = \"…\" }}`"
        );
        return Some(("has a variable in it, such as `${…}`", help));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_keys_and_templates_from_plain_texts() {
        let what = |text| problem(text, "path").map(|(what, _)| what);
        for key in [
            "sk-proj-a1B2c3D4e5F6g7H8",
            "llm/AKIAIOSFODNN7EXAMPLE",
            "https://example.com/?key=AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        ] {
            assert_eq!(what(key), Some(KEY), "{key}");
        }
        for template in ["llm/${ENV}/openai", "$(cat path)", "{{ .Values.path }}"] {
            assert_eq!(
                what(template),
                Some("has a variable in it, such as `${…}`"),
                "{template}"
            );
        }
        for text in [
            "llm/xai-prod",
            "secret/sk-openai-2",
            "https://sk-bratislava.example.com/v1",
            "3b0c9a52-7d0f-4c53-9a7e-0d5b7c1f2a44",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm/openai-AbCdEf",
            "0 30 4 * * MON-FRI",
            "Production OpenAI",
            "info,flashback_rotator[span{key=x}]=debug",
        ] {
            assert_eq!(what(text), None, "{text}");
        }
    }
}
