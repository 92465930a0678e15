package action.mobile.app

import action.mobile.app.camera.PictureSize
import android.content.Context
import android.util.AttributeSet
import android.view.View
import android.view.ViewGroup
import kotlin.math.min

/**
 * Shows its children, one upon the other, as large as it can be in the shape of the camera's pictures, in the middle.
 *
 * The preview's surface turns and mirrors pictures by itself; only the shape is ours to keep.
 */
class PreviewFrame(context: Context, attributes: AttributeSet?) : ViewGroup(context, attributes) {
    /** The picture as it is seen, turned upright; null fills the frame. */
    var picture: PictureSize? = null
        set(value) {
            if (field != value) {
                field = value
                requestLayout()
            }
        }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        val height = MeasureSpec.getSize(heightMeasureSpec)
        setMeasuredDimension(width, height)
        val (childWidth, childHeight) = fit(picture, width, height)
        for (i in 0 until childCount) getChildAt(i).measure(exactly(childWidth), exactly(childHeight))
    }

    override fun onLayout(changed: Boolean, left: Int, top: Int, right: Int, bottom: Int) {
        for (i in 0 until childCount) center(getChildAt(i), right - left, bottom - top)
    }

    private fun center(child: View, width: Int, height: Int) {
        val left = (width - child.measuredWidth) / 2
        val top = (height - child.measuredHeight) / 2
        child.layout(left, top, left + child.measuredWidth, top + child.measuredHeight)
    }

    private fun exactly(size: Int) = MeasureSpec.makeMeasureSpec(size, MeasureSpec.EXACTLY)
}

/** The largest rectangle in the shape of [picture] that fits into [width] x [height]. */
fun fit(picture: PictureSize?, width: Int, height: Int): Pair<Int, Int> {
    if (picture == null) return width to height
    val scale = min(width.toDouble() / picture.width, height.toDouble() / picture.height)
    return (picture.width * scale).toInt() to (picture.height * scale).toInt()
}
