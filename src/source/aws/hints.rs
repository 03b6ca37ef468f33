//! Hints about names and ARNs of secrets in AWS.

use crate::source::hint::Hint;

/// Returns a hint if the name or ARN of a secret is wrong or doubtful for a source in `region`.
pub(super) fn path(region: Option<&str>, path: &str) -> Option<Hint> {
    let parts: Vec<_> = path.split(':').collect();
    let ["arn", _, service, of, _, kind, ref rest @ ..] = parts[..] else {
        return of_name(region, path);
    };
    if service != "secretsmanager" || kind != "secret" {
        return Some(Hint::certain(
            "this is the ARN of something else: a secret's begins `arn:aws:secretsmanager:REGION:ACCOUNT:secret:`",
        ));
    }
    if rest.len() > 1 {
        return Some(Hint::certain(
            "the ARN goes on with a field, a stage or a version, as ECS writes it: end it with the secret's name, and name the field in `fields`",
        ));
    }
    region.filter(|region| *region != of).map(|region| {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let of = match of.chars().all(is_region) && of.len() <= 32 {
            true => format!("`{of}`"),
            false => "another one".to_owned(),
        };
        Hint::likely(format!(
            "the source asks in the region `{region}`, and the ARN is of {of}: a secret of another region needs a source with that `region`"
        ))
    })
}

/// Returns a hint about a name: one that ends like an ARN does not exist, and any other may be in another region.
fn of_name(region: Option<&str>, path: &str) -> Option<Hint> {
    let is_random = |end: &str| {
        end.len() == 6
            && end.chars().all(|c| c.is_ascii_alphanumeric())
            && end.chars().any(|c| c.is_ascii_uppercase())
    };
    if path.rsplit_once('-').is_some_and(|(_, end)| is_random(end)) {
        return Some(Hint::possible(
            "the path ends as an ARN does: write the secret's name without the hyphen and the six characters, or the whole ARN",
        ));
    }
    region.map(|region| {
        Hint::possible(format!(
            "the source asks in the region `{region}`, with the account it is signed in to: is the secret there?"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::hint::Certainty;

    #[test]
    fn hints_distinguish_arns_by_region_form_and_service() {
        let of = |id: &str| path(Some("eu-west-1"), id);
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm/openai-AbCdEf";
        assert_eq!(of(secret), None);
        assert_eq!(path(None, &secret.replace("eu-west-1", "us-east-1")), None);
        let said = |path: &str| of(path).unwrap_or_else(|| panic!("{path}"));
        let elsewhere = said(&secret.replace("eu-west-1", "us-east-1"));
        assert!(
            elsewhere.certainty == Certainty::Likely && elsewhere.text.contains("`us-east-1`"),
            "{}",
            elsewhere.text
        );
        let odd = said(&secret.replace("eu-west-1", "CANARY"));
        assert!(!odd.text.contains("CANARY"), "{}", odd.text);
        assert!(
            said(&format!("{secret}:api_key::"))
                .text
                .contains("as ECS writes it")
        );
        let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/llm";
        assert!(said(parameter).text.contains("something else"));
        assert!(said("llm/openai-AbCdEf").text.contains("six characters"));
        assert!(said("llm/openai").text.contains("`eu-west-1`"));
    }
}
