package action.mobile.app

import action.mobile.recognizer.Region
import action.mobile.recognizer.Seen
import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import kotlin.math.min

/** Lies on the preview: the square that the model sees, and which side is the person's left. */
class SeenView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val density = resources.displayMetrics.density
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        style = Paint.Style.STROKE
        strokeWidth = density
        setShadowLayer(2 * density, 0f, 0f, Color.BLACK)
    }
    private val word = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        textSize = TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_SP, 14f, resources.displayMetrics)
        setShadowLayer(2 * density, 0f, 0f, Color.BLACK)
    }
    private var region = Region()
    private var mirror = false

    /** [front]: the preview shows this camera's picture as a mirror does. */
    fun show(seen: Seen, front: Boolean) {
        mirror = front != seen.mirrored
        region = seen.part.region.let { if (mirror) it.mirrored() else it }
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val (left, top, side) = square(region, width, height)
        canvas.drawRect(left, top, left + side, top + side, line)
        // In a picture that is no mirror, the left of who faces it is on the right.
        val text = resources.getString(if (mirror) R.string.left_here else R.string.left_there)
        val space = 8 * density
        word.textAlign = if (mirror) Paint.Align.LEFT else Paint.Align.RIGHT
        canvas.drawText(text, if (mirror) space else width - space, height - space, word)
    }
}

/** Left, top and side of the square in the middle of a region, of a picture of this size. */
fun square(region: Region, width: Int, height: Int): Triple<Float, Float, Float> {
    val side = min(region.width * width, region.height * height)
    val left = region.x * width + (region.width * width - side) / 2
    val top = region.y * height + (region.height * height - side) / 2
    return Triple(left.toFloat(), top.toFloat(), side.toFloat())
}
