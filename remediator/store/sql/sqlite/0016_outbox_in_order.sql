-- What is to be sent next is found in its order, without looking at all that waits behind it.
CREATE INDEX outbox_unsent_in_order ON outbox (lane, id) WHERE state = 'unsent';
