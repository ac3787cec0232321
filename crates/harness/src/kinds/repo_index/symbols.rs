//! What a source file defines, by its syntax tree.

use tree_sitter::{Language, Node, Parser};

use super::model::Symbol;

/// The most symbols of one file, and the longest name.
pub const MAX_SYMBOLS: usize = 2_000;
const NAME_BYTES: usize = 200;

/// Languages with symbols, in the words of [`super::languages`].
pub const LANGUAGES: &[&str] = &["C", "Go", "JavaScript", "Python", "Rust", "TSX", "TypeScript"];

/// Node type of a definition, and what we call it.
type Kinds = &'static [(&'static str, &'static str)];

const RUST: Kinds = &[
    ("function_item", "function"),
    ("function_signature_item", "function"),
    ("struct_item", "struct"),
    ("union_item", "union"),
    ("enum_item", "enum"),
    ("trait_item", "trait"),
    ("mod_item", "module"),
    ("const_item", "constant"),
    ("static_item", "static"),
    ("type_item", "type"),
    ("macro_definition", "macro"),
];
const PYTHON: Kinds = &[("function_definition", "function"), ("class_definition", "class")];
const SCRIPT: Kinds = &[
    ("function_declaration", "function"),
    ("generator_function_declaration", "function"),
    ("class_declaration", "class"),
    ("abstract_class_declaration", "class"),
    ("method_definition", "method"),
    ("interface_declaration", "interface"),
    ("type_alias_declaration", "type"),
    ("enum_declaration", "enum"),
    ("internal_module", "namespace"),
];
const GO: Kinds = &[
    ("function_declaration", "function"),
    ("method_declaration", "method"),
    ("type_spec", "type"),
    ("type_alias", "type"),
    ("const_spec", "constant"),
];
const C: Kinds = &[
    ("function_definition", "function"),
    ("struct_specifier", "struct"),
    ("union_specifier", "union"),
    ("enum_specifier", "enum"),
    ("type_definition", "type"),
    ("preproc_def", "macro"),
    ("preproc_function_def", "macro"),
];

fn grammar(language: &str) -> Option<(Language, Kinds)> {
    Some(match language {
        "C" => (tree_sitter_c::LANGUAGE.into(), C),
        "Go" => (tree_sitter_go::LANGUAGE.into(), GO),
        "JavaScript" => (tree_sitter_javascript::LANGUAGE.into(), SCRIPT),
        "Python" => (tree_sitter_python::LANGUAGE.into(), PYTHON),
        "Rust" => (tree_sitter_rust::LANGUAGE.into(), RUST),
        "TSX" => (tree_sitter_typescript::LANGUAGE_TSX.into(), SCRIPT),
        "TypeScript" => (tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), SCRIPT),
        _ => return None,
    })
}

/// The definitions in `source`, by line; whether there were more than are kept.
pub fn of(language: &str, source: &str) -> (Vec<Symbol>, bool) {
    let Some((grammar, kinds)) = grammar(language) else { return (Vec::new(), false) };
    let mut parser = Parser::new();
    if parser.set_language(&grammar).is_err() {
        return (Vec::new(), true);
    }
    let Some(tree) = parser.parse(source, None) else { return (Vec::new(), true) };
    let mut symbols = Vec::new();
    let mut cursor = tree.walk();
    // A walk without recursion: a hostile file can nest as deep as it is long.
    'walk: loop {
        let node = cursor.node();
        if let Some((_, kind)) = kinds.iter().find(|(of, _)| *of == node.kind())
            && let Some(name) = name(node, source)
        {
            let line = node.start_position().row as u64 + 1;
            symbols.push(Symbol { line, kind: (*kind).to_owned(), name: name.to_owned() });
        }
        if symbols.len() > MAX_SYMBOLS {
            break;
        }
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                break 'walk;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
    symbols.sort();
    symbols.dedup();
    let more = symbols.len() > MAX_SYMBOLS;
    symbols.truncate(MAX_SYMBOLS);
    (symbols, more)
}

fn name<'a>(node: Node<'_>, source: &'a str) -> Option<&'a str> {
    // In C a name without a body is a use, not a definition.
    if node.kind().ends_with("_specifier") && node.child_by_field_name("body").is_none() {
        return None;
    }
    let mut named = node.child_by_field_name("name");
    if named.is_none() {
        // C wraps a name in its declarators: pointer, function, array.
        named = node.child_by_field_name("declarator");
        while let Some(inner) = named.and_then(|node| node.child_by_field_name("declarator")) {
            named = Some(inner);
        }
    }
    let text = source.get(named?.byte_range())?;
    let plain = !text.is_empty() && text.len() <= NAME_BYTES && !text.contains(char::is_whitespace);
    plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(language: &str, source: &str) -> Vec<String> {
        let (symbols, _) = of(language, source);
        symbols.into_iter().map(|s| format!("{}:{} {}", s.line, s.kind, s.name)).collect()
    }

    #[test]
    fn finds_definitions_in_every_language_it_names() {
        for (language, source, expected) in [
            (
                "Rust",
                "mod a {\n struct S;\n}\nimpl S { fn f() {} }",
                "1:module a,2:struct S,4:function f",
            ),
            ("Python", "class A:\n  def f(self): pass", "1:class A,2:function f"),
            (
                "JavaScript",
                "class A { m() {} }\nfunction f() {}",
                "1:class A,1:method m,2:function f",
            ),
            (
                "TypeScript",
                "interface I {}\ntype T = I;\nenum E {}",
                "1:interface I,2:type T,3:enum E",
            ),
            ("TSX", "function C() { return <b/>; }", "1:function C"),
            (
                "Go",
                "package p\ntype T struct{}\nfunc (t T) M() {}\nfunc F() {}\nconst K = 1",
                "2:type T,3:method M,4:function F,5:constant K",
            ),
            (
                "C",
                "#define M 1\nstruct s { int a; };\nchar *f(int x) { struct s y; return 0; }\ntypedef int t;",
                "1:macro M,2:struct s,3:function f,4:type t",
            ),
        ] {
            assert!(LANGUAGES.contains(&language));
            assert_eq!(names(language, source).join(","), expected, "{language}");
        }
        assert!(names("Markdown", "# x").is_empty());
    }

    #[test]
    fn a_deeply_nested_file_does_not_overflow() {
        let deep = "(".repeat(100_000);
        for language in LANGUAGES {
            let _ = of(language, &deep);
        }
    }

    proptest! {
        #[test]
        fn no_source_makes_it_panic(source in "\\PC{0,200}", soup in "[a-z(){}<>;:=\"'#\n ]{0,200}") {
            for language in LANGUAGES {
                let _ = of(language, &source);
                let _ = of(language, &soup);
            }
        }
    }
}
