-- The analytics team's warehouse lives beside Towpath's own database, with an account of its own.
CREATE USER analytics PASSWORD 'analytics';
CREATE DATABASE warehouse OWNER analytics;
REVOKE CONNECT ON DATABASE towpath FROM PUBLIC;
