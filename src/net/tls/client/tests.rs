//! What is believed and shown, with an authority and servers made by hand. The tests' days lie in 2126: after any build.

mod files;
mod messages;
mod own;
mod times;
mod world;
