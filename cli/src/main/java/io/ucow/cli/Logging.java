package io.ucow.cli;

/** Where log lines go; to be set before the first logger is made. */
final class Logging {
    private static final String PREFIX = "org.slf4j.simpleLogger.";

    private Logging() {}

    /** For commands: what an operator should act on, in the form of an error line. */
    static void toStandardError() {
        System.setProperty(PREFIX + "defaultLogLevel", "warn");
        System.setProperty(PREFIX + "warnLevelString", "ucow:");
        System.setProperty(PREFIX + "showThreadName", "false");
        System.setProperty(PREFIX + "showLogName", "false");
        System.setProperty(PREFIX + "levelInBrackets", "false");
    }

    /** For daemons, whose standard error is their log: their life, with time and thread. */
    static void ofDaemon() {
        System.setProperty(PREFIX + "defaultLogLevel", "info");
        System.setProperty(PREFIX + "warnLevelString", "WARN");
        System.setProperty(PREFIX + "showThreadName", "true");
        System.setProperty(PREFIX + "showDateTime", "true");
        System.setProperty(PREFIX + "dateTimeFormat", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX");
        System.setProperty(PREFIX + "showShortLogName", "true");
    }
}
