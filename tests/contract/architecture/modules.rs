//! The modules of a crate, read from its sources: what each defines, what it imports, and which paths it names. Test
//! code (`#[cfg(test)]`) is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// A crate; its root module is the first.
pub(super) struct Modules {
    pub(super) all: Vec<Module>,
    /// The modules that define the macros of `#[macro_export]`, which are names of the root.
    pub(super) exported_macros: BTreeMap<String, usize>,
}

pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    pub(super) defined: BTreeSet<String>,
    /// Words in calls of macros, any of which the macro may define.
    pub(super) in_macros: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Words of the module's items, and the line of the first of each: what `*` imports is named by a word alone.
    pub(super) words: BTreeMap<String, usize>,
    /// Paths that items name, also those of imports inside functions.
    pub(super) named: Vec<Named>,
    /// Where the files of child modules are.
    folder: PathBuf,
}

/// One name of a `use` declaration of a module.
pub(super) struct Import {
    /// The name that it has here; none for `*`.
    pub(super) name: Option<String>,
    pub(super) named: Named,
    pub(super) is_public: bool,
}

/// A path, and where it is named.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// An item's attributes, as far as they matter here.
#[derive(Default)]
struct Attributes {
    is_test: bool,
    is_exported_macro: bool,
    path: Option<String>,
}

impl Modules {
    /// Reads the crate whose root is `file`, and every module that it declares.
    pub(super) fn read(file: &Path) -> Self {
        let mut modules = Self { all: Vec::new(), exported_macros: BTreeMap::new() };
        modules.read_file(file.to_owned(), None, file.parent().unwrap().to_owned());
        modules
    }

    fn read_file(&mut self, file: PathBuf, parent: Option<usize>, folder: PathBuf) -> usize {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let id = self.add(file, parent, folder);
        self.read_items(id, &tokens(&text));
        id
    }

    fn add(&mut self, file: PathBuf, parent: Option<usize>, folder: PathBuf) -> usize {
        self.all.push(Module {
            file,
            parent,
            children: BTreeMap::new(),
            defined: BTreeSet::new(),
            in_macros: BTreeSet::new(),
            imports: Vec::new(),
            words: BTreeMap::new(),
            named: Vec::new(),
            folder,
        });
        self.all.len() - 1
    }

    fn read_items(&mut self, id: usize, mut rest: &[Token]) {
        while !rest.is_empty() {
            let (attributes, item) = attributes(rest);
            let length = item_length(item);
            let whole = &rest[..rest.len() - item.len() + length];
            rest = &item[length..];
            if !attributes.is_test {
                self.read_item(id, &attributes, whole, &item[..length]);
            }
        }
    }

    fn read_item(&mut self, id: usize, attributes: &Attributes, whole: &[Token], item: &[Token]) {
        let (visibility, bare) = item.split_at(visibility_length(item));
        let word = |place: usize| bare.get(place).map_or("", |token| token.text.as_str());
        match word(0) {
            "mod" => self.read_module(id, attributes, bare),
            "use" => {
                for (name, named) in imports(&bare[1..]) {
                    let import = Import { name, named, is_public: !visibility.is_empty() };
                    self.all[id].imports.push(import);
                }
            }
            _ => {
                let module = &mut self.all[id];
                module.named.extend(paths(whole));
                let words = || whole.iter().filter(|token| token.is_word());
                for word in words() {
                    module.words.entry(word.text.clone()).or_insert(word.line);
                }
                let name = defined(bare);
                if attributes.is_exported_macro {
                    self.exported_macros.extend(name.clone().map(|name| (name, id)));
                }
                module.defined.extend(name);
                if is_macro_call(bare) {
                    module.in_macros.extend(words().map(|token| token.text.clone()));
                }
            }
        }
    }

    fn read_module(&mut self, id: usize, attributes: &Attributes, item: &[Token]) {
        let name = item[1].text.clone();
        let folder = self.all[id].folder.clone();
        let child = match (&attributes.path, item[2].is("{")) {
            (_, true) => {
                let file = self.all[id].file.clone();
                let child = self.add(file, Some(id), folder.join(&name));
                self.read_items(child, &item[3..item.len() - 1]);
                child
            }
            (Some(path), false) => {
                let file = self.all[id].file.parent().unwrap().join(path);
                let folder = file.parent().unwrap().to_owned();
                self.read_file(file, Some(id), folder)
            }
            (None, false) => {
                let file = folder.join(format!("{name}.rs"));
                let file = if file.is_file() { file } else { folder.join(&name).join("mod.rs") };
                self.read_file(file, Some(id), folder.join(&name))
            }
        };
        self.all[id].children.insert(name, child);
    }
}

/// The attributes at the beginning, and what follows them.
fn attributes(mut rest: &[Token]) -> (Attributes, &[Token]) {
    let mut found = Attributes::default();
    while rest.first().is_some_and(|token| token.is("#")) {
        let opened = if rest[1].is("!") { 2 } else { 1 };
        let length = opened + group_length(&rest[opened..]);
        let words = &rest[opened + 1..length - 1];
        let is = |word: &str| words.iter().any(|token| token.is(word));
        found.is_test |= words[0].is("test") || (words[0].is("cfg") && is("test") && !is("not"));
        found.is_exported_macro |= words[0].is("macro_export");
        if words[0].is("path") {
            found.path = words.last().map(|token| token.text.trim_matches('"').to_owned());
        }
        rest = &rest[length..];
    }
    (found, rest)
}

/// How many tokens the group has that begins with the first of them: to the bracket that closes it.
pub(super) fn group_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => (),
        }
        if depth == 0 {
            return place + 1;
        }
    }
    tokens.len()
}

/// How many tokens the item has that begins with the first of them: to its `;`, or to the end of its block.
fn item_length(item: &[Token]) -> usize {
    let bare = &item[visibility_length(item)..];
    let is_value = match bare {
        [first, second, ..] if first.is("const") => {
            !["fn", "unsafe", "async", "extern"].iter().any(|word| second.is(word))
        }
        [first, ..] => ["static", "type", "use"].iter().any(|word| first.is(word)),
        [] => false,
    };
    let mut place = 0;
    while place < item.len() {
        match item[place].text.as_str() {
            ";" => return place + 1,
            "{" if !is_value => return place + group_length(&item[place..]),
            "(" | "[" | "{" => place += group_length(&item[place..]),
            _ => place += 1,
        }
    }
    item.len()
}

fn visibility_length(item: &[Token]) -> usize {
    match item {
        [first, second, ..] if first.is("pub") && second.is("(") => 1 + group_length(&item[1..]),
        [first, ..] if first.is("pub") => 1,
        _ => 0,
    }
}

/// The name that an item defines.
fn defined(item: &[Token]) -> Option<String> {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
    const BEFORE: [&str; 5] = ["const", "async", "unsafe", "extern", "default"];
    if let [first, _, name, ..] = item
        && first.is("macro_rules")
    {
        return Some(name.text.clone());
    }
    let mut rest = item;
    while let [first, second, ..] = rest {
        let is_kind = KINDS.iter().any(|kind| first.is(kind));
        if is_kind
            && second.is_word()
            && !(first.is("const") && ["fn", "async", "unsafe", "extern"].iter().any(|word| second.is(word)))
        {
            let name = if second.is("mut") { &rest[2] } else { second };
            return Some(name.text.clone());
        }
        let is_before = BEFORE.iter().any(|word| first.is(word)) || first.text.starts_with('"');
        if !is_before {
            return None;
        }
        rest = &rest[1..];
    }
    None
}

/// `name! { … }`, or with a path before the name.
fn is_macro_call(item: &[Token]) -> bool {
    let after = item.iter().find(|token| !token.is_word() && !token.is("::"));
    after.is_some_and(|token| token.is("!")) && item[0].is_word() && !item[0].is("impl")
}

/// The paths that tokens name: `a::b`, those of `use` declarations, and those in the strings of attributes.
fn paths(tokens: &[Token]) -> Vec<Named> {
    let (mut found, mut place) = (Vec::new(), 0);
    while place < tokens.len() {
        let token = &tokens[place];
        let follows = place.checked_sub(1).map(|before| &tokens[before]);
        if token.is("use") && !follows.is_some_and(|before| before.is("+") || before.is(":")) {
            let end = tokens[place..].iter().position(|token| token.is(";")).unwrap_or(0);
            found.extend(imports(&tokens[place + 1..place + end.max(1)]).into_iter().map(|(_, named)| named));
            place += end.max(1);
            continue;
        }
        let begins = ["\"crate::", "\"super::", "\"self::"].iter().any(|begin| token.text.starts_with(begin));
        if begins {
            let path = token.text.trim_matches('"').split("::").map(str::to_owned).collect();
            found.push(Named { path, line: token.line });
        }
        let mut path = Vec::new();
        if token.is_word() && !follows.is_some_and(|before| before.is("::") || before.is(".")) {
            path.push(token.text.clone());
            while let Some([sign, word]) = tokens.get(place + 1..place + 3)
                && sign.is("::")
                && word.is_word()
            {
                path.push(word.text.clone());
                place += 2;
            }
        }
        if path.len() > 1 {
            found.push(Named { path, line: token.line });
        }
        place += 1;
    }
    found
}

/// The names of a `use` declaration, without the word itself.
fn imports(declaration: &[Token]) -> Vec<(Option<String>, Named)> {
    let mut found = Vec::new();
    tree(declaration, &mut 0, &[], &mut found);
    found
}

fn tree(tokens: &[Token], place: &mut usize, before: &[String], found: &mut Vec<(Option<String>, Named)>) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(*place) {
        *place += 1;
        let line = token.line;
        match token.text.as_str() {
            "::" => (),
            "{" => {
                while tokens.get(*place).is_some_and(|token| !token.is("}")) {
                    tree(tokens, place, &path, found);
                    if tokens.get(*place).is_some_and(|token| token.is(",")) {
                        *place += 1;
                    }
                }
                *place += 1;
                return;
            }
            "*" => return found.push((None, Named { path, line })),
            word => {
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                match tokens.get(*place) {
                    Some(next) if next.is("::") => (),
                    Some(next) if next.is("as") => {
                        let name = tokens[*place + 1].text.clone();
                        *place += 2;
                        return found.push((Some(name), Named { path, line }));
                    }
                    _ => return found.push((path.last().cloned(), Named { path, line })),
                }
            }
        }
    }
}
