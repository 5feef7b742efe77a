//! Which file defines what a path names, also behind re-exports.

use std::collections::BTreeSet;

use super::modules::{Import, Modules};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UseTarget {
    /// A module of the crate.
    Module(usize),
    /// An item that is defined in this module.
    Item(usize),
    /// Something of another crate.
    Outside,
}

/// The names that are being looked for, so that re-exports in a circle end.
type Visited = BTreeSet<(usize, String)>;

impl Modules {
    /// What `path` leads to, named in the module `from`; none where the crate has no such name.
    pub(super) fn target(&self, from: usize, path: &[String]) -> Option<UseTarget> {
        self.follow(from, path, &mut Visited::new())
    }

    fn follow(&self, from: usize, path: &[String], visited: &mut Visited) -> Option<UseTarget> {
        let Some((first, rest)) = path.split_first() else { return Some(UseTarget::Module(from)) };
        let mut target = match first.as_str() {
            "crate" => UseTarget::Module(0),
            "self" => UseTarget::Module(from),
            "super" => self.parent(from)?,
            name => self.find(from, name, visited).unwrap_or(UseTarget::Outside),
        };
        for name in rest {
            let UseTarget::Module(module) = target else { break };
            target = if name == "super" { self.parent(module)? } else { self.find(module, name, visited)? };
        }
        Some(target)
    }

    fn parent(&self, module: usize) -> Option<UseTarget> {
        self.all[module].parent.map(UseTarget::Module)
    }

    /// A name in a module.
    fn find(&self, id: usize, name: &str, visited: &mut Visited) -> Option<UseTarget> {
        let module = &self.all[id];
        if let Some(child) = module.children.get(name) {
            return Some(UseTarget::Module(*child));
        }
        if module.defined.contains(name) {
            return Some(UseTarget::Item(id));
        }
        if let Some(definer) = self.exported_macros.get(name).filter(|_| id == 0) {
            return Some(UseTarget::Item(*definer));
        }
        if !visited.insert((id, name.to_owned())) {
            return None;
        }
        let mut named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        let found = named.find_map(|import| self.follow(id, &import.named.path, visited));
        let mut globs = module.imports.iter().filter(|import| import.name.is_none());
        let found = found.or_else(|| globs.find_map(|glob| self.find_through(id, glob, name, visited)));
        found.or_else(|| module.in_macros.contains(name).then_some(UseTarget::Item(id)))
    }

    fn find_through(&self, id: usize, glob: &Import, name: &str, visited: &mut Visited) -> Option<UseTarget> {
        match self.follow(id, &glob.named.path, visited)? {
            UseTarget::Module(module) => self.find(module, name, visited),
            UseTarget::Item(_) | UseTarget::Outside => None,
        }
    }
}
