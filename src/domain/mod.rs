//! The product's words as types. Everything that comes from outside is parsed here once, into
//! types with private fields; below this room nothing is checked again. It knows no framework,
//! no database and no clock.

mod coded;

pub mod act;
pub mod campaign;
pub mod destination;
pub mod hit;
pub mod id_map;
pub mod judgement;
pub mod keys;
pub mod message;
pub mod neighbour;
pub mod network;
pub mod record;
pub mod seal;
pub mod shard;
pub mod sweep;
pub mod time;
pub mod token;

pub(crate) use coded::coded_enum;
