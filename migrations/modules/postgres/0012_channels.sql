-- How people want to be told besides in the application: one row for each channel.
CREATE TABLE notification_channels (
    user_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    channel TEXT NOT NULL CHECK (channel IN ('email', 'webhook', 'slack')),
    -- An e-mail address or an URL. A Slack webhook's URL is a secret: whoever knows it may post.
    address TEXT NOT NULL CHECK (address <> ''),
    -- What signs a webhook: `whsec_` and 24 to 64 bytes in base64.
    secret  TEXT CHECK (secret LIKE 'whsec_%'),
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    PRIMARY KEY (user_id, channel),
    CHECK ((channel = 'webhook') = (secret IS NOT NULL))
);

-- What leaves the house. The key makes a second letter about the same thing impossible.
CREATE TABLE notification_letters (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    notification_id UUID NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    channel         TEXT NOT NULL CHECK (channel IN ('email', 'webhook', 'slack')),
    -- Null while it waits, and for ever if the channel was switched off before its turn came.
    sent_at         TIMESTAMPTZ,
    UNIQUE (notification_id, channel)
);
