package action.mobile.recognizer

/**
 * JSON as data: [Map] (in the order of the text), [List], [String], [Double], [Boolean] or null.
 *
 * Written for text that may be damaged or hostile: it refuses what is not JSON to the letter, a key
 * that occurs twice, numbers beyond a double's range, nesting deeper than [MOST_DEPTH] and more text
 * than [MOST_CHARACTERS].
 */
internal object Json {
    const val MOST_DEPTH = 32
    const val MOST_CHARACTERS = 4 shl 20

    /** Reads a whole text. Throws [BundleException] with the place of the first error. */
    fun parse(text: String): Any? {
        if (text.length > MOST_CHARACTERS) {
            throw BundleException("${text.length} characters of JSON are more than $MOST_CHARACTERS")
        }
        return JsonReader(text).whole()
    }

    /**
     * Writes [value], which may hold whole numbers of any type too, with two spaces a level.
     *
     * Throws [IllegalArgumentException] for a number that is not finite and for another type.
     */
    fun write(value: Any?): String = StringBuilder().apply { append(value, "\n") }.append('\n').toString()

    private fun StringBuilder.append(value: Any?, line: String) {
        when (value) {
            null -> append("null")
            is String -> appendText(value)
            is Boolean, is Int, is Long -> append(value.toString())
            is Double -> append(number(value))
            is List<*> -> {
                // Numbers stay on one line: a report has thousands of them.
                val short = value.all { it is Number }
                appendItems(value.map { null to it }, "[]", if (short) "" else "$line  ", if (short) "" else line)
            }
            is Map<*, *> -> appendItems(value.map { (key, item) -> key as String to item }, "{}", "$line  ", line)
            else -> throw IllegalArgumentException("${value.javaClass.name} is nothing that JSON has")
        }
    }

    private fun StringBuilder.appendItems(items: List<Pair<String?, Any?>>, ends: String, line: String, close: String) {
        append(ends[0])
        items.forEachIndexed { i, (key, item) ->
            if (i > 0) append(if (line.isEmpty()) ", " else ",")
            append(line)
            if (key != null) {
                appendText(key)
                append(": ")
            }
            append(item, line)
        }
        if (items.isNotEmpty()) append(close)
        append(ends[1])
    }

    private fun StringBuilder.appendText(text: String) {
        append('"')
        for (c in text) {
            when {
                c == '"' || c == '\\' -> append('\\').append(c)
                c < ' ' || c.isSurrogate() -> append("\\u").append(c.code.toString(16).padStart(4, '0'))
                else -> append(c)
            }
        }
        append('"')
    }

    private fun number(value: Double): String {
        require(value - value == 0.0) { "$value is no number of JSON" }
        return value.toString()
    }
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun whole(): Any? {
        val value = value(0)
        space()
        if (at < text.length) fail("more text after its end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > Json.MOST_DEPTH) fail("deeper than ${Json.MOST_DEPTH} levels")
        space()
        return when (peek()) {
            '{' -> members(depth)
            '[' -> items(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        at++
        if (ends('}')) return members
        while (true) {
            space()
            if (peek() != '"') fail("a name in quotes is missing")
            val name = string()
            if (name in members) fail("\"${name.take(SHOWN)}\" occurs twice")
            space()
            if (peek() != ':') fail("a colon is missing")
            at++
            members[name] = value(depth + 1)
            if (ends('}')) return members
            comma()
        }
    }

    private fun items(depth: Int): List<Any?> {
        val items = ArrayList<Any?>()
        at++
        if (ends(']')) return items
        while (true) {
            items.add(value(depth + 1))
            if (ends(']')) return items
            comma()
        }
    }

    private fun ends(bracket: Char): Boolean {
        space()
        if (peek() != bracket) return false
        at++
        return true
    }

    private fun comma() {
        if (peek() != ',') fail("a comma is missing")
        at++
    }

    private fun string(): String {
        at++
        val found = StringBuilder()
        while (true) {
            val c = peek()
            at++
            when {
                c == '"' -> return found.toString()
                c == '\\' -> found.append(escaped())
                c < ' ' -> fail("a control character in text")
                else -> found.append(c)
            }
        }
    }

    private fun escaped(): Char {
        val c = peek()
        at++
        return when (c) {
            '"', '\\', '/' -> c
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> hexadecimal()
            else -> fail("\\ before another character than JSON has")
        }
    }

    private fun hexadecimal(): Char {
        var code = 0
        repeat(4) {
            val digit = HEXADECIMAL.indexOf(peek().lowercaseChar())
            if (digit < 0) fail("\\u without four hexadecimal digits")
            code = 16 * code + digit
            at++
        }
        return code.toChar()
    }

    private fun number(): Double {
        val start = at
        if (peek() == '-') at++
        if (peek() == '0') at++ else digits()
        if (at < text.length && text[at] == '.') {
            at++
            digits()
        }
        if (at < text.length && text[at] in "eE") {
            at++
            if (peek() in "+-") at++
            digits()
        }
        // Ever longer digits cost ever more time and say nothing more.
        if (at - start > MOST_DIGITS) fail("a number of ${at - start} characters")
        val value = text.substring(start, at).toDouble()
        if (value - value != 0.0) fail("a number beyond the range of a double")
        return value
    }

    private fun digits() {
        val start = at
        while (at < text.length && text[at] in '0'..'9') at++
        if (at == start) fail("a value is missing")
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) fail("a value is missing")
        at += word.length
        return value
    }

    private fun space() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("it breaks off")

    private fun fail(reason: String): Nothing =
        throw BundleException("not JSON at character ${at + 1}: $reason")

    private companion object {
        const val HEXADECIMAL = "0123456789abcdef"
        const val MOST_DIGITS = 64
        const val SHOWN = 40
    }
}
