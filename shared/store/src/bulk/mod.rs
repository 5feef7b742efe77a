//! Bulk: the items of a whole history of transactions at once, for data that is made and not requested. The functions
//! that the write path and the projector use make the items; the caller writes them, in any order.

pub(crate) mod books;
