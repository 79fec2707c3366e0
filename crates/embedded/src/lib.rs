//! own segment log and fjall state on one machine.
