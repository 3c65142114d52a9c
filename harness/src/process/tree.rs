//! The process tree below a pid, from /proc: PostgreSQL's backends are in sessions of their own,
//! so a process-group signal misses them; parent ids do not.
