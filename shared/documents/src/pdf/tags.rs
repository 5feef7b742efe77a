//! The structure of a document, as PDF tags.

use std::num::NonZeroU16;

use krilla::tagging::{Identifier, ListNumbering, Node, TableHeaderScope, Tag, TagGroup, TagKind, TagTree};

use crate::layout::{Role, Structure};

/// The level of a section's heading. The title of the document has no level.
const HEADING_LEVEL: NonZeroU16 = NonZeroU16::MIN;

/// The parts of a structure, with the content on pages that belongs to each.
pub(super) struct Tags<'a> {
    structure: &'a Structure,
    content: Vec<Vec<Identifier>>,
}

impl<'a> Tags<'a> {
    pub(super) fn new(structure: &'a Structure) -> Self {
        Self { structure, content: vec![vec![]; structure.len()] }
    }

    /// Adds content to a part.
    pub(super) fn add(&mut self, part: usize, content: Identifier) {
        if let Some(of_part) = self.content.get_mut(part) {
            of_part.push(content);
        }
    }

    pub(super) fn tree(mut self) -> TagTree {
        let mut tree = TagTree::new().with_lang(Some(super::render::LANGUAGE.to_owned()));
        for node in self.nodes(Structure::ROOT) {
            tree.push(node);
        }
        tree
    }

    fn nodes(&mut self, part: usize) -> Vec<Node> {
        let own = self.content.get_mut(part).map(std::mem::take).unwrap_or_default();
        let mut nodes: Vec<_> = own.into_iter().map(Node::from).collect();
        for child in self.structure.children(part) {
            let children = self.nodes(*child);
            // A part without content is no part for a reader.
            if !children.is_empty() {
                nodes.push(TagGroup::with_children(kind(self.structure.role(*child)), children).into());
            }
        }
        nodes
    }
}

fn kind(role: &Role) -> TagKind {
    match role {
        Role::Root | Role::Section => Tag::Section.into(),
        Role::Title => Tag::Title.into(),
        Role::Heading(text) => Tag::Hn(HEADING_LEVEL, Some(text.clone())).into(),
        Role::Paragraph => Tag::P.into(),
        Role::List => Tag::L(ListNumbering::None).into(),
        Role::ListItem => Tag::LI.into(),
        Role::ListLabel => Tag::Lbl.into(),
        Role::ListBody => Tag::LBody.into(),
        Role::Table => Tag::Table.into(),
        Role::TableHead => Tag::THead.into(),
        Role::TableBody => Tag::TBody.into(),
        Role::TableFoot => Tag::TFoot.into(),
        Role::Row => Tag::TR.into(),
        Role::HeaderCell => Tag::TH(TableHeaderScope::Column).into(),
        Role::Cell => Tag::TD.into(),
    }
}
