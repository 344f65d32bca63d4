-- The few events that were adopted so often that they are delivered alone: found without a look at all that waits.
CREATE INDEX system_events_alone ON system_events (seq) WHERE adoptions >= 3;
