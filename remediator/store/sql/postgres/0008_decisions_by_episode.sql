-- What was decided on one alert, for those who ask why.
CREATE INDEX decisions_by_episode ON decisions (episode, id);
