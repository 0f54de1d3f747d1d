package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import org.junit.jupiter.api.Test;

class TableWordsTest {
    @Test
    void trailingBackslashStandsForItself() {
        assertThat(TableWords.split("a b\\")).containsExactly("a", "b\\");
    }

    @Test
    void everyEscapedWordIsReadBackAsOne() throws TableSyntaxException {
        String alphabet = " \t\u000b\f\\#ab/:é\u00a0";
        Random random = new Random(4);
        for (int i = 0; i < 2000; i++) {
            StringBuilder word = new StringBuilder();
            for (int n = 1 + random.nextInt(6); n > 0; n--) {
                word.append(alphabet.charAt(random.nextInt(alphabet.length())));
            }
            assertThat(TableWords.split("x " + TableWords.escape(word.toString()) + " y"))
                    .containsExactly("x", word.toString(), "y");
        }
    }

    @Test
    void lineBreaksCannotBeWritten() {
        assertThatThrownBy(() -> TableWords.escape("/a\nb"))
                .isInstanceOf(TableSyntaxException.class)
                .hasMessage("'/a?b' contains a line break, which no device table can express; rename it");
    }
}
