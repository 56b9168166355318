//! What the people of the street live through.

mod stories {
    mod at_rest;
    mod directory;
    mod disagreement;
    mod doubles;
    mod end_to_end;
    mod enrolment;
    mod escalation;
    mod evidence;
    mod known_failures;
    mod ladder;
    mod policy;
    mod privacy;
    mod quarantine;
    mod requests;
    mod restore;
    mod server_clock;
    mod statistics;
    mod storage;
    mod todo;
    mod witness;
}
