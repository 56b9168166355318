//! What the people of the street live through.

mod stories {
    mod disagreement;
    mod end_to_end;
    mod escalation;
    mod ladder;
    mod privacy;
    mod server_clock;
    mod statistics;
    mod storage;
}
