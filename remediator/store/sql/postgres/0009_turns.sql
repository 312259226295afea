-- Whose turn something is that replicas do in order, one of them at a time. Time decides, not a session's lock:
-- a replica that was stopped must not keep the others from it.
CREATE TABLE turns (
    what   text   PRIMARY KEY,
    holder uuid   NOT NULL,
    until  bigint NOT NULL
);
