//! The fence: eight steps between the end of the load and the final reads, so that nothing in
//! flight turns into a false verdict. A step that fails makes the run unknown.
