//! The structure of a document, as screen readers follow it.

/// What a part of a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The whole.
    Root,
    /// The title of the document.
    Title,
    /// A heading, with its text.
    Heading(String),
    /// A text.
    Paragraph,
    /// The facts.
    List,
    /// A fact.
    ListItem,
    /// The name of a fact.
    ListLabel,
    /// The value of a fact.
    ListBody,
    /// A section.
    Section,
    /// A table.
    Table,
    /// The header of a table.
    TableHead,
    /// The rows of a table.
    TableBody,
    /// The totals of a table.
    TableFoot,
    /// A row.
    Row,
    /// The name of a column.
    HeaderCell,
    /// A cell.
    Cell,
}

/// A tree of parts. A part is known by its number.
#[derive(Clone, Debug)]
pub(crate) struct Structure {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    role: Role,
    children: Vec<usize>,
}

impl Default for Structure {
    fn default() -> Self {
        Self { parts: vec![Part { role: Role::Root, children: vec![] }] }
    }
}

impl Structure {
    /// The number of the whole.
    pub(crate) const ROOT: usize = 0;

    /// Adds a part to another one, behind those that it has.
    pub(super) fn add(&mut self, parent: usize, role: Role) -> usize {
        let number = self.parts.len();
        self.parts.push(Part { role, children: vec![] });
        if let Some(parent) = self.parts.get_mut(parent) {
            parent.children.push(number);
        }
        number
    }

    /// The role of a part.
    pub(crate) fn role(&self, part: usize) -> &Role {
        self.parts.get(part).map_or(&Role::Root, |part| &part.role)
    }

    /// The parts of a part.
    pub(crate) fn children(&self, part: usize) -> &[usize] {
        self.parts.get(part).map_or(&[], |part| &part.children)
    }

    /// The number of parts.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }
}
