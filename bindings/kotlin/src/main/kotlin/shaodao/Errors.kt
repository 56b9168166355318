package shaodao

import java.util.Locale

/** The sentence of an error, in both languages, with its stable code. */
val PhoneException.said: Sentence
    get() = explainError(this)

/** The stable code of an error. */
val PhoneException.kind: String
    get() = said.code

/** Chinese where the system speaks Chinese, otherwise English. */
fun Sentence.text(locale: Locale = Locale.getDefault()): String =
    if (locale.language == "zh") zh else en

/** Chinese where the system speaks Chinese, otherwise English. */
fun Words.text(locale: Locale = Locale.getDefault()): String =
    if (locale.language == "zh") zh else en
