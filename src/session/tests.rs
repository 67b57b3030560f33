//! Both machines against each other in virtual time.
