//! Which language a file is in: by its name, else by its first line.

/// By extension, lower case.
const EXTENSIONS: &[(&str, &str)] = &[
    ("bash", "Shell"),
    ("c", "C"),
    ("cc", "C++"),
    ("cjs", "JavaScript"),
    ("clj", "Clojure"),
    ("cpp", "C++"),
    ("cs", "C#"),
    ("css", "CSS"),
    ("cxx", "C++"),
    ("dart", "Dart"),
    ("ex", "Elixir"),
    ("exs", "Elixir"),
    ("erl", "Erlang"),
    ("go", "Go"),
    ("h", "C"),
    ("hpp", "C++"),
    ("hs", "Haskell"),
    ("htm", "HTML"),
    ("html", "HTML"),
    ("java", "Java"),
    ("jl", "Julia"),
    ("js", "JavaScript"),
    ("json", "JSON"),
    ("jsx", "JavaScript"),
    ("kt", "Kotlin"),
    ("lua", "Lua"),
    ("m", "Objective-C"),
    ("md", "Markdown"),
    ("mjs", "JavaScript"),
    ("ml", "OCaml"),
    ("mts", "TypeScript"),
    ("nim", "Nim"),
    ("nix", "Nix"),
    ("php", "PHP"),
    ("pl", "Perl"),
    ("proto", "Protocol Buffers"),
    ("ps1", "PowerShell"),
    ("py", "Python"),
    ("pyi", "Python"),
    ("r", "R"),
    ("rb", "Ruby"),
    ("rs", "Rust"),
    ("scala", "Scala"),
    ("scss", "SCSS"),
    ("sh", "Shell"),
    ("sql", "SQL"),
    ("svg", "SVG"),
    ("swift", "Swift"),
    ("tex", "TeX"),
    ("toml", "TOML"),
    ("ts", "TypeScript"),
    ("tsx", "TSX"),
    ("vue", "Vue"),
    ("xml", "XML"),
    ("yaml", "YAML"),
    ("yml", "YAML"),
    ("zig", "Zig"),
];

const NAMES: &[(&str, &str)] = &[
    ("cmakelists.txt", "CMake"),
    ("dockerfile", "Dockerfile"),
    ("gemfile", "Ruby"),
    ("makefile", "Makefile"),
    ("rakefile", "Ruby"),
];

const INTERPRETERS: &[(&str, &str)] = &[
    ("bash", "Shell"),
    ("node", "JavaScript"),
    ("perl", "Perl"),
    ("php", "PHP"),
    ("python", "Python"),
    ("ruby", "Ruby"),
    ("sh", "Shell"),
    ("zsh", "Shell"),
];

pub fn of(path: &str, contents: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    if let Some(language) = find(NAMES, &name) {
        return Some(language);
    }
    if let Some((stem, extension)) = name.rsplit_once('.')
        && !stem.is_empty()
    {
        return find(EXTENSIONS, extension);
    }
    interpreter(contents).and_then(|program| find(INTERPRETERS, &program))
}

fn find(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == key).map(|(_, language)| *language)
}

/// The program of a `#!` line, without path and version.
fn interpreter(contents: &[u8]) -> Option<String> {
    let line = contents.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(&line[..line.len().min(200)]).ok()?;
    let mut words = line.split_whitespace().filter(|word| !word.starts_with('-'));
    let first = words.next()?.rsplit('/').next()?;
    let program = if first == "env" { words.next()? } else { first };
    Some(program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_by_extension_by_name_and_by_first_line() {
        assert_eq!(of("src/main.rs", b""), Some("Rust"));
        assert_eq!(of("A/Makefile", b""), Some("Makefile"));
        assert_eq!(of("run", b"#!/usr/bin/env -S python3.11 -u\n"), Some("Python"));
        assert_eq!(of("run", b"#!/bin/sh\n"), Some("Shell"));
        assert_eq!(of(".gitignore", b"x"), None);
        assert_eq!(of("data.bin", b"#!/bin/sh"), None);
        assert_eq!(of("x", b"#!"), None);
    }
}
