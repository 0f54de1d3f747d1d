package io.ucow.cli;

import com.grack.nanojson.JsonWriter;
import java.io.PrintWriter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code --json}, and where results go; a mixin of every verb that prints some. */
final class Output {
    /** Set by bin/ucow when standard output is one; {@code System.console()} says so of anything from JDK 22 on. */
    private static final String TERMINAL_PROPERTY = "ucow.terminal";

    @Spec(Spec.Target.MIXEE)
    private CommandSpec mixee;

    @Option(names = "--json", description = "Print JSON instead of text.")
    private boolean json;

    /** True if results are seen by somebody as they come. */
    static boolean isTerminal() {
        return Boolean.getBoolean(TERMINAL_PROPERTY);
    }

    /** True if the user asked for JSON. */
    boolean isJson() {
        return json;
    }

    /** Prints a JSON value, indented, and a line feed. */
    void json(Object value) {
        StringBuilder text = new StringBuilder();
        JsonWriter.indent("  ").on(text).value(value).done();
        text(text.append('\n').toString());
    }

    /** Prints text as it is. */
    void text(String text) {
        writer().print(text);
        writer().flush();
    }

    /** Standard output, for results too long to hold. */
    PrintWriter writer() {
        return mixee.commandLine().getOut();
    }
}
