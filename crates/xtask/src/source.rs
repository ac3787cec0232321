//! Rust files as token trees without their tests, so that rules read code and not text.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tree::Tree;

/// One token with the line it starts on. Comments are gone; doc comments are attributes.
#[derive(Clone, Debug)]
pub enum Node {
    Word(String, usize),
    Mark(char, usize),
    Literal(String, usize),
    Group(Delimiter, Vec<Node>, usize),
}

impl Node {
    pub fn line(&self) -> usize {
        match self {
            Self::Word(_, line)
            | Self::Mark(_, line)
            | Self::Literal(_, line)
            | Self::Group(_, _, line) => *line,
        }
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found, _) if found == word)
    }

    pub fn is_mark(&self, mark: char) -> bool {
        matches!(self, Self::Mark(found, _) if *found == mark)
    }

    pub fn word(&self) -> Option<&str> {
        if let Self::Word(word, _) = self { Some(word) } else { None }
    }

    pub fn group(&self, delimiter: Delimiter) -> Option<&[Node]> {
        match self {
            Self::Group(found, inside, _) if *found == delimiter => Some(inside),
            _ => None,
        }
    }
}

/// A parsed file. `nodes` holds what is compiled outside tests; empty where all of it is tests.
pub struct Source {
    pub path: String,
    pub text: String,
    pub nodes: Vec<Node>,
    /// Lines of items that only tests compile.
    pub test_lines: usize,
    pub is_test: bool,
    /// Why the file could not be read as Rust.
    pub broken: Option<String>,
    /// Names of `#[cfg(test)] mod name;`, whose files are tests.
    test_modules: Vec<String>,
}

impl Source {
    pub fn parse(path: &str, text: String) -> Self {
        let mut reader = Reader::default();
        let (nodes, broken) = match text.parse::<TokenStream>() {
            Ok(stream) => (reader.nodes(stream), None),
            Err(error) => {
                let line = error.span().start().line;
                (Vec::new(), Some(format!("line {line}: {error}")))
            }
        };
        let is_test = reader.whole_file || is_test_path(path);
        Self {
            path: path.to_owned(),
            text,
            nodes: if is_test { Vec::new() } else { nodes },
            test_lines: reader.test_lines,
            is_test,
            broken,
            test_modules: reader.test_modules,
        }
    }

    /// Calls `look` with the tokens from each position on, in groups too.
    pub fn each(&self, look: &mut impl FnMut(&[Node])) {
        each(&self.nodes, look);
    }
}

pub fn each(nodes: &[Node], look: &mut impl FnMut(&[Node])) {
    for (start, node) in nodes.iter().enumerate() {
        look(&nodes[start..]);
        if let Node::Group(_, inside, _) = node {
            each(inside, look);
        }
    }
}

/// All Rust files of the tree. A file is a test where its path says so or the module that declares
/// it is compiled only for tests.
pub fn load(tree: &Tree) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in tree.with_extension("rs") {
        let text = tree.text(path)?.with_context(|| format!("{path} is not UTF-8"))?;
        sources.push(Source::parse(path, text));
    }
    let declared: BTreeSet<String> = sources.iter().flat_map(declared_tests).collect();
    for source in &mut sources {
        let beside = |module: &String| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if declared.iter().any(beside) {
            source.is_test = true;
            source.nodes.clear();
        }
    }
    Ok(sources)
}

/// Paths, without extension, of the modules that this file declares for tests only.
fn declared_tests(source: &Source) -> Vec<String> {
    let path = Path::new(&source.path);
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => path.parent().map(Path::to_path_buf),
        _ => Some(path.with_extension("")),
    };
    let Some(folder) = folder else { return Vec::new() };
    let module = |name: &String| folder.join(name).to_string_lossy().replace('\\', "/");
    source.test_modules.iter().map(module).collect()
}

fn is_test_path(path: &str) -> bool {
    let mut parts = path.split('/').rev();
    let file = parts.next().unwrap_or_default();
    file == "tests.rs" || parts.any(|part| matches!(part, "tests" | "benches" | "examples"))
}

/// Turns tokens into nodes and leaves out what only tests compile.
#[derive(Default)]
struct Reader {
    test_lines: usize,
    test_modules: Vec<String>,
    whole_file: bool,
}

impl Reader {
    fn nodes(&mut self, stream: TokenStream) -> Vec<Node> {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut nodes = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if let Some(attribute) = attribute(&tokens[at..])
                && is_for_tests(attribute.content)
            {
                if attribute.inner {
                    self.whole_file = true;
                } else {
                    at = self.skip_item(&tokens, at);
                    continue;
                }
            }
            nodes.push(self.node(&tokens[at]));
            at += 1;
        }
        nodes
    }

    fn node(&mut self, token: &TokenTree) -> Node {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(ident) => Node::Word(ident.to_string(), line),
            TokenTree::Punct(punct) => Node::Mark(punct.as_char(), line),
            TokenTree::Literal(literal) => Node::Literal(literal.to_string(), line),
            TokenTree::Group(group) => {
                Node::Group(group.delimiter(), self.nodes(group.stream()), line)
            }
        }
    }

    /// The position after the item, field or statement whose attributes start at `from`.
    fn skip_item(&mut self, tokens: &[TokenTree], from: usize) -> usize {
        let mut at = from;
        while let Some(found) = attribute(&tokens[at..]) {
            at += found.tokens;
        }
        let is_item = tokens.get(at).is_some_and(starts_item);
        self.note_module(&tokens[at..]);
        while at < tokens.len() {
            let ends = match &tokens[at] {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => {
                    punct.as_char() == ';' || (!is_item && punct.as_char() == ',')
                }
                _ => false,
            };
            at += 1;
            if ends {
                break;
            }
        }
        let first = tokens[from].span().start().line;
        let last = tokens[at - 1].span().end().line;
        self.test_lines += last - first + 1;
        at
    }

    /// Remembers `mod name;`, possibly with a visibility before it.
    fn note_module(&mut self, tokens: &[TokenTree]) {
        let words: Vec<String> = tokens
            .iter()
            .take_while(|token| !is_punct(token, ';'))
            .map(ToString::to_string)
            .collect();
        if let [.., keyword, name] = words.as_slice()
            && keyword == "mod"
        {
            self.test_modules.push(name.clone());
        }
    }
}

struct Attribute<'a> {
    inner: bool,
    content: &'a proc_macro2::Group,
    tokens: usize,
}

fn attribute(tokens: &[TokenTree]) -> Option<Attribute<'_>> {
    match tokens {
        [hash, TokenTree::Group(content), ..] if is_punct(hash, '#') => {
            Some(Attribute { inner: false, content, tokens: 2 })
        }
        [hash, bang, TokenTree::Group(content), ..]
            if is_punct(hash, '#') && is_punct(bang, '!') =>
        {
            Some(Attribute { inner: true, content, tokens: 3 })
        }
        _ => None,
    }
}

/// `cfg(test)`, `cfg(any(test, ..))`, `test` and `tokio::test`; not `cfg(not(test))`.
fn is_for_tests(attribute: &proc_macro2::Group) -> bool {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" => {
            names_test(condition.stream())
        }
        [.., TokenTree::Ident(last)] => last == "test",
        _ => false,
    }
}

fn names_test(condition: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    tokens.iter().enumerate().any(|(at, token)| match token {
        TokenTree::Ident(word) => word == "test",
        TokenTree::Group(inside) => {
            let negated =
                at > 0 && matches!(&tokens[at - 1], TokenTree::Ident(word) if word == "not");
            !negated && names_test(inside.stream())
        }
        _ => false,
    })
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Items end at a brace or a semicolon; a field or a variant ends at a comma too.
fn starts_item(token: &TokenTree) -> bool {
    const KEYWORDS: [&str; 14] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "unsafe",
        "use",
    ];
    matches!(token, TokenTree::Ident(word) if word == "pub" || KEYWORDS.iter().any(|key| word == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let source = Source::parse("src/lib.rs", text.to_owned());
        assert_eq!(source.broken, None);
        let mut words = Vec::new();
        source.each(&mut |nodes| words.extend(nodes[0].word().map(str::to_owned)));
        words
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let text = "
            fn kept() {}
            #[cfg(test)] mod tests { fn gone() {} }
            #[test] fn gone() {}
            #[tokio::test] async fn gone<A, B>() -> u8 { gone }
            #[cfg(any(test, feature = \"contract\"))] pub fn gone() {}
            #[cfg(not(test))] fn kept_too() {}
            struct S { #[cfg(test)] gone: u8, kept_field: u8 }
        ";
        let words = words(text);
        assert!(!words.iter().any(|word| word == "gone"), "{words:?}");
        for kept in ["kept", "kept_too", "kept_field"] {
            assert!(words.iter().any(|word| word == kept), "{kept} in {words:?}");
        }
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(
            words("// unwrap\n/* unwrap */ const A: &str = \"unwrap\";"),
            ["const", "A", "str"]
        );
    }

    #[test]
    fn a_file_declared_for_tests_is_a_test() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::made(
            folder.path(),
            &[
                ("a/src/lib.rs", "//! a\nmod b;\n#[cfg(test)]\nmod fake;\n"),
                ("a/src/b.rs", "//! b\n#[cfg(test)] pub(crate) mod model;\n"),
                ("a/src/b/model.rs", "//! m\nfn f() {}\n"),
                ("a/src/fake/deep.rs", "//! d\nfn f() {}\n"),
                ("a/src/fakery.rs", "//! f\nfn f() {}\n"),
            ],
        );
        let tests: Vec<String> = load(&tree)
            .expect("loads")
            .into_iter()
            .filter(|source| source.is_test)
            .map(|source| source.path)
            .collect();
        assert_eq!(tests, ["a/src/b/model.rs", "a/src/fake/deep.rs"]);
    }

    #[test]
    fn what_is_no_rust_is_said() {
        assert!(Source::parse("src/lib.rs", "fn f( {".to_owned()).broken.is_some());
    }
}
