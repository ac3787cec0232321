//! Reading a request's parameters: names with `-` or `_`, numbers with bounds, nothing ignored.

use super::{About, Refusal};

/// Parameters whose names are all known.
#[derive(Debug)]
pub struct Params<'a> {
    given: Vec<(String, &'a str)>,
}

impl<'a> Params<'a> {
    pub fn read(about: &About, given: &'a [(String, String)]) -> Result<Self, Refusal> {
        let mut params: Vec<(String, &str)> = Vec::new();
        for (name, value) in given {
            let name = name.trim().to_ascii_lowercase().replace('-', "_");
            let Some(known) = about.params.iter().find(|param| param.name == name) else {
                let names: Vec<_> = about.params.iter().map(|param| param.name).collect();
                return Err(Refusal::param(format!(
                    "{} has no parameter {:?}; it has {}",
                    about.name,
                    shortened(&name),
                    names.join(", ")
                )));
            };
            if !known.repeats && params.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::param(format!("{name} is given twice")));
            }
            params.push((name, value.as_str()));
        }
        Ok(Self { given: params })
    }

    pub fn one(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| given == name).map(|(_, value)| *value)
    }

    /// A whole number from 1 to `max`, `default` when it is not given.
    pub fn number(&self, name: &str, default: u64, max: u64) -> Result<u64, Refusal> {
        let Some(text) = self.one(name) else { return Ok(default.min(max)) };
        match text.trim().parse::<u64>() {
            Ok(0) | Err(_) => Err(Refusal::param(format!(
                "{name} must be a whole number from 1 to {max}, not {:?}",
                shortened(text)
            ))),
            Ok(number) if number > max => Err(Refusal::over_limit(format!(
                "{name} is {number}; this provider gives at most {max}"
            ))),
            Ok(number) => Ok(number),
        }
    }
}

/// A stranger's text in a message: short, and without control characters.
pub fn shortened(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn reads_both_spellings_and_refuses_unknown_double_and_bad_ones() {
        let about = kinds::find(5930).unwrap().about();
        let spelled = given(&[("Timeout-Secs", "7")]);
        let params = Params::read(about, &spelled).unwrap();
        assert_eq!(params.number("timeout_secs", 60, 600), Ok(7));
        assert_eq!(params.number("cpu_secs", 60, 10), Ok(10));
        for bad in [&[("no_such", "1")][..], &[("timeout_secs", "1"), ("timeout-secs", "2")]] {
            assert!(Params::read(about, &given(bad)).is_err());
        }
        for (value, code) in
            [("0", "bad_param"), ("-1", "bad_param"), ("1.5", "bad_param"), ("601", "over_limit")]
        {
            let given = given(&[("timeout_secs", value)]);
            let params = Params::read(about, &given).unwrap();
            assert_eq!(params.number("timeout_secs", 60, 600).unwrap_err().code, code);
        }
    }
}
